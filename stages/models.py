"""models: write a model's identity card. Fetches or converts its weights once."""

from wor import paths, storage
from wor.weights import folders, identity_card


def main(params, log, model):
    spec = params.model_specs[model]
    if folders.find_folder(spec) is None:
        from wor.machine.libraries import quiet_libraries  # takes a second, as it imports transformers

        quiet_libraries()
    card = identity_card.make_card(spec, log.info)
    storage.write_json(paths.card(model), card)
    if commit := card["source"].get("commit"):
        log.info(f"{card['source']['repo']} at {card['source']['revision']} is commit {commit}")
    log.info(f"{card['label']}: {card['architecture']}, {card['n_params']:,} parameters, {card['n_layers']} layers")
