"""Stage temperatures: observe the first evaluation items of each dataset at each temperature."""

from wor import paths, storage
from wor.pipeline import observation, selection, session


def main(params, log, model):
    subset = selection.temperatures_items(selection.read_study_items(params), params)
    items = [item for _ in params.robustness.temperatures for item in subset]
    temperatures = [temperature for temperature in params.robustness.temperatures for _ in subset]
    run = session.start_session(params, model, log)
    responses = observation.generate_responses(run, items, temperatures)
    reference = observation.read_reference(paths.REFERENCE / model, params)
    frame, arrays = observation.observe_all(run, responses, reference, lens=False)
    storage.write_records(paths.TEMPERATURES / model, frame.assign(temperature=temperatures), arrays)
    return run.finish()
