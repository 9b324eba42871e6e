"""reference: what a part of the model gives on average, over calibration controls only; and their measures' raw material."""

from wor import items, observation, paths, session, stage, storage
from wor.errors import UserError


def work(params, log, model):
    controls = [
        item for dataset in params.of_role("control") for item in items.read(paths.items(dataset)) if item.split == "calibration"
    ]
    run = session.begin(params, model, log)
    said = observation.ask(run, controls, [params.reference.temperature] * len(controls))
    usable = [one for one in said if not one.reason]
    if len(usable) < 2:
        raise UserError("calibration controls", f"{len(usable)} have a window", "Raise the control's n, or lower window.min")
    folder = paths.REFERENCE / model
    observation.write_reference(folder, observation.refer(run, usable))
    frame, arrays = observation.observe_all(run, said, observation.read_reference(folder), lens=False)
    storage.write_records(folder, frame, arrays)
    return run.finish()


if __name__ == "__main__":
    stage.run("reference", work, "model")
