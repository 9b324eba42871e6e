"""models: who a model is. Writes its identity card; converts its weights once, outside the repository."""

from wor import paths, session, stage, storage
from wor.sources import weights


def work(params, log, model):
    session.quiet_libraries()
    card = weights.card(params.model_specs[model], log.say)
    storage.write_json(paths.card(model), card)
    if commit := card["source"].get("commit"):
        log.say(f"{card['source']['repo']} at {card['source']['revision']} is commit {commit}")
    log.say(f"{card['label']}: {card['architecture']}, {card['n_params']:,} parameters, {card['n_layers']} layers")


if __name__ == "__main__":
    stage.run("models", work, "model")
