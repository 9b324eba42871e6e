"""nulls: a twin with random weights reads what the model wrote; and controls as whole articles, not matched in length."""

import pandas as pd

from wor import paths, storage
from wor.data import items
from wor.errors import UserError
from wor.pipeline import observation, session

PARAPHRASES = 1  # of an item that the twin reads: nulls may take a fifth of a run


def main(params, log, model):
    run = session.start_session(params, model, log)
    if literal := items.read_items(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model)
        said = observation.generate_responses(run, literal, [params.temperature] * len(literal))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, said, reference, lens=True))
    twin = run.twin()
    calibration, chosen = _read_by_twin(params, model)
    reference = observation.compute_reference(twin, calibration)
    observed = observation.observe_all(twin, calibration + chosen, reference, lens=False)
    storage.write_records(paths.NULLS / model / "twin", *observed)
    twin.finish()
    return run.finish()


def _read_by_twin(params, model):
    """Calibration controls, and the first items of each class, with the continuations that the model gave them."""
    every = [item for dataset in params.datasets for item in items.read_items(paths.items(dataset))]
    calibration = [item for item in every if item.role == "control" and item.split == "calibration"]
    frame, _ = storage.read_records(paths.REFERENCE / model)
    calibrating = [one for one in observation.load_responses(calibration, frame, PARAPHRASES) if not one.exclusion_reason]
    if len(calibrating) < 2:
        raise UserError("calibration controls", f"{len(calibrating)} have a window", "Raise the control's n, or lower window.min")
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    chosen = []
    for role in ("reasoning", "control"):
        chosen += items.round_robin([item for item in items.evaluation_items(every) if item.role == role], params.nulls.twin_n)
    return calibrating[: params.nulls.twin_calibration], observation.load_responses(chosen, pd.concat(frames), PARAPHRASES)
