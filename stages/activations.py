"""activations: what a model did on the evaluation items of a dataset. Sufficient statistics, no full residuals."""

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, session


def main(params, log, model, dataset):
    entries = items.evaluation_items(items.read_items(paths.items(dataset)))
    run = session.start_session(params, model, log)
    reference = observation.read_reference(paths.REFERENCE / model)
    said = observation.generate_responses(run, entries, [params.temperature] * len(entries))
    frame, arrays = observation.observe_all(run, said, reference, lens=True)
    storage.write_records(paths.activations(model, dataset), frame, arrays)
    return run.finish()
