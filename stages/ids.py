"""ids: the frozen items, verified, with their prompts, paraphrases and length-matched controls."""

from tokenizers import Tokenizer

from wor import items, paths, stage, storage
from wor.sources import build, datasets, weights


def work(params, log):
    folder = weights.open_card(storage.read_json(paths.card(params.control.length_model)))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    built = build.build(params, lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))
    for dataset, entries in built.items():
        items.write(paths.items(dataset), entries)
        calibration = sum(item.split == "calibration" for item in entries)
        log.say(f"{dataset}: {len(entries)} items verified ({calibration} with a calibration ID)")
    items.write(paths.LITERAL_ITEMS, build.literal(params, built))
    found = {dataset: datasets.provenance(params.spec(dataset)) for dataset in params.datasets}
    return {"datasets": {dataset: origin for dataset, origin in found.items() if origin}}


if __name__ == "__main__":
    stage.run("ids", work)
