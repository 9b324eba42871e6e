"""models: who a model is. Writes its identity card; converts its weights once, outside the repository."""

from wor import paths, storage
from wor.weights import identity_card


def main(params, log, model):
    spec = params.model_specs[model]
    if identity_card.find_folder(spec) is None:
        from wor.pipeline import session  # four seconds: it imports torch, as what converts weights does

        session.quiet_libraries()
    card = identity_card.make_card(spec, log.info)
    storage.write_json(paths.card(model), card)
    if commit := card["source"].get("commit"):
        log.info(f"{card['source']['repo']} at {card['source']['revision']} is commit {commit}")
    log.info(f"{card['label']}: {card['architecture']}, {card['n_params']:,} parameters, {card['n_layers']} layers")
