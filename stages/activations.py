"""activations: what a model did on the evaluation items of a dataset. Sufficient statistics, no full residuals."""

from wor import items, observation, paths, session, stage, storage
from wor.errors import UserError


def work(params, log, model, dataset):
    entries = observation.evaluated(items.read(paths.items(dataset)))
    if not entries:
        raise UserError(f"dataset_specs.{dataset}.n", "all its items calibrate", "Raise it, or lower control.calibration_share")
    run = session.begin(params, model, log)
    reference = observation.read_reference(paths.REFERENCE / model)
    said = observation.ask(run, entries, [params.temperature] * len(entries))
    frame, arrays = observation.observe_all(run, said, reference, lens=True)
    storage.write_records(paths.activations(model, dataset), frame, arrays)
    return run.finish()


if __name__ == "__main__":
    stage.run("activations", work, "model", "dataset")
