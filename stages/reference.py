"""reference: what a part of the model gives on average, over calibration controls only; and their measures' raw material."""

from wor import items, observation, paths, stage, storage
from wor.engine.observe import window_means
from wor.errors import UserError


def work(params, log, model):
    controls = [
        item for dataset in params.of_role("control") for item in items.read(paths.items(dataset)) if item.split == "calibration"
    ]
    lm, placement = stage.load_model(params, model, log)
    said = observation.ask(lm, controls, params, params.reference.temperature, log)
    usable = [one for one in said if not one.reason]
    if len(usable) < 2:
        raise UserError("calibration controls", f"{len(usable)} have a window", "Raise the control's n, or lower window.min")
    with log.bar("averaged", len(usable)) as advance:
        means = window_means(lm, [one.case for one in usable], advance)
    frame, arrays = observation.observe_all(lm, said, means, params, log)
    folder = paths.REFERENCE / model
    observation.write_means(folder, means)
    storage.write_records(folder, frame, arrays)
    return stage.environment(placement)


if __name__ == "__main__":
    stage.run("reference", work, "model")
