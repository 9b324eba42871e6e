"""ids: verify the frozen items, and write them with prompts and paraphrases."""

from tokenizers import Tokenizer

from wor import paths, storage
from wor.data import build, datasets, items
from wor.weights import identity_card


def main(params, log):
    folder = identity_card.open_card(storage.read_json(paths.card(params.control.length_model)))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    built = build.build_items(params, lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))
    for dataset, entries in built.items():
        items.write_items(paths.items(dataset), entries)
        calibration = sum(item.split == "calibration" for item in entries)
        log.info(f"{dataset}: {len(entries)} items verified ({calibration} held out for calibration)")
    items.write_items(paths.LITERAL_ITEMS, build.full_length_controls(params, built))
    origins = {dataset: datasets.provenance(params.spec(dataset)) for dataset in params.datasets}
    return {"datasets": {dataset: origin for dataset, origin in origins.items() if origin}}
