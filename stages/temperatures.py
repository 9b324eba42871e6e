"""temperatures: the same measures, on the first evaluation items of each dataset, at each temperature."""

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, session


def main(params, log, model):
    settings = params.robustness
    subset = [
        item
        for dataset in params.datasets
        for item in items.evaluation_items(items.read_items(paths.items(dataset)))[: settings.n]
    ]
    entries = [item for _ in settings.temperatures for item in subset]
    temperatures = [temperature for temperature in settings.temperatures for _ in subset]
    run = session.start_session(params, model, log)
    said = observation.generate_responses(run, entries, temperatures)
    frame, arrays = observation.observe_all(run, said, observation.read_reference(paths.REFERENCE / model), lens=False)
    storage.write_records(paths.TEMPERATURES / model, frame.assign(temperature=temperatures), arrays)
    return run.finish()
