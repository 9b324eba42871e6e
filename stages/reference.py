"""reference: what a part of the model gives on average, over calibration controls only; and their measures' raw material."""

from wor import paths, storage
from wor.data import items
from wor.errors import UserError
from wor.pipeline import observation, session


def main(params, log, model):
    controls = [
        item
        for dataset in params.datasets_with_role("control")
        for item in items.read_items(paths.items(dataset))
        if item.split == "calibration"
    ]
    run = session.start_session(params, model, log)
    said = observation.generate_responses(run, controls, [params.reference.temperature] * len(controls))
    usable = [one for one in said if not one.exclusion_reason]
    if len(usable) < 2:
        raise UserError("calibration controls", f"{len(usable)} have a window", "Raise the control's n, or lower window.min")
    folder = paths.REFERENCE / model
    observation.write_reference(folder, observation.compute_reference(run, usable))
    frame, arrays = observation.observe_all(run, said, observation.read_reference(folder), lens=False)
    storage.write_records(folder, frame, arrays)
    return run.finish()
