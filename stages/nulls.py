"""nulls: a twin with random weights reads what the model wrote; and controls as whole articles, not matched in length."""

import pandas as pd

from wor import items, observation, paths, session, stage, storage
from wor.errors import UserError

PARAPHRASES = 1  # of an item that the twin reads: nulls may take a fifth of a run


def work(params, log, model):
    run = session.begin(params, model, log)
    if literal := items.read(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model)
        said = observation.ask(run, literal, [params.temperature] * len(literal))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, said, reference, lens=True))
    twin = run.twin()
    calibration, chosen = _read_by_twin(params, model)
    reference = observation.refer(twin, calibration)
    observed = observation.observe_all(twin, calibration + chosen, reference, lens=False)
    storage.write_records(paths.NULLS / model / "twin", *observed)
    twin.finish()
    return run.finish()


def _read_by_twin(params, model):
    """Calibration controls, and the first items of each class, with the continuations that the model gave them."""
    every = [item for dataset in params.datasets for item in items.read(paths.items(dataset))]
    calibration = [item for item in every if item.role == "control" and item.split == "calibration"]
    frame, _ = storage.read_records(paths.REFERENCE / model)
    calibrating = [one for one in observation.recall(calibration, frame, PARAPHRASES) if not one.reason]
    if len(calibrating) < 2:
        raise UserError("calibration controls", f"{len(calibrating)} have a window", "Raise the control's n, or lower window.min")
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    chosen = []
    for role in ("reasoning", "control"):
        chosen += items.in_turn([item for item in items.evaluated(every) if item.role == role], params.nulls.twin_n)
    return calibrating[: params.nulls.twin_calibration], observation.recall(chosen, pd.concat(frames), PARAPHRASES)


if __name__ == "__main__":
    stage.run("nulls", work, "model")
