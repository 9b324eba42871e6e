"""activations: what a model did on the evaluation items of a dataset. Sufficient statistics, no full residuals."""

from wor import items, observation, paths, session, stage, storage


def work(params, log, model, dataset):
    entries = items.evaluated(items.read(paths.items(dataset)))
    run = session.begin(params, model, log)
    reference = observation.read_reference(paths.REFERENCE / model)
    said = observation.ask(run, entries, [params.temperature] * len(entries))
    frame, arrays = observation.observe_all(run, said, reference, lens=True)
    storage.write_records(paths.activations(model, dataset), frame, arrays)
    return run.finish()


if __name__ == "__main__":
    stage.run("activations", work, "model", "dataset")
