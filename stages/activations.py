"""activations: what a model did on the evaluation items of a dataset. Sufficient statistics, no full residuals."""

from wor import items, observation, paths, stage, storage


def work(params, log, model, dataset):
    entries = observation.evaluated(items.read(paths.items(dataset)))
    lm, placement = stage.load_model(params, model, log)
    means = observation.read_means(paths.REFERENCE / model)
    said = observation.ask(lm, entries, params, params.temperature, log)
    frame, arrays = observation.observe_all(lm, said, means, params, log)
    storage.write_records(paths.activations(model, dataset), frame, arrays)
    return stage.environment(placement)


if __name__ == "__main__":
    stage.run("activations", work, "model", "dataset")
