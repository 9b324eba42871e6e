"""models: who a model is. Writes its identity card; converts its weights once, outside the repository."""

from wor import paths, stage, storage
from wor.sources import weights


def work(params, log, model):
    spec = params.model_specs[model]
    if weights.here(spec) is None:
        from wor import session  # four seconds: it imports torch, as what converts weights does

        session.quiet_libraries()
    card = weights.card(spec, log.say)
    storage.write_json(paths.card(model), card)
    if commit := card["source"].get("commit"):
        log.say(f"{card['source']['repo']} at {card['source']['revision']} is commit {commit}")
    log.say(f"{card['label']}: {card['architecture']}, {card['n_params']:,} parameters, {card['n_layers']} layers")


if __name__ == "__main__":
    stage.run("models", work, "model")
