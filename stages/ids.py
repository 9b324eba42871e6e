"""ids: verify the frozen items, and write them with prompts and paraphrases.

No text may be longer than the context of a model that stage models has recorded.
"""

from wor import paths, storage
from wor.data import build, datasets, items
from wor.pipeline import lengths
from wor.weights import identity_card


def main(params, log):
    length_model = params.control.length_model
    known = [name for name in params.models if name == length_model or paths.card(name).is_file()]
    cards = {name: storage.read_json(paths.card(name)) for name in known}
    tokenizers = {name: identity_card.read_tokenizer(card, params.prompt.template) for name, card in cards.items()}
    built = build.build_items(params, tokenizers[length_model].count)
    readers = [lengths.Reader(card["label"], card["context"], tokenizers[name].count_prompt) for name, card in cards.items()]
    lengths.require_fit(params, readers, built)
    for dataset, entries in built.items():
        items.write_items(paths.items(dataset), entries)
        calibration = sum(item.split == "calibration" for item in entries)
        log.info(f"{dataset}: {len(entries)} items verified ({calibration} held out for calibration)")
    controls = build.full_length_controls(params, built)
    fitting = lengths.fitting_controls(params, readers, controls)
    if len(fitting) < len(controls):
        log.info(f"{len(controls) - len(fitting)} of {len(controls)} whole articles are longer than a model's context: left out")
    items.write_items(paths.LITERAL_ITEMS, fitting)
    origins = {dataset: datasets.provenance(params.spec(dataset)) for dataset in params.datasets}
    return {"datasets": {dataset: origin for dataset, origin in origins.items() if origin}}
