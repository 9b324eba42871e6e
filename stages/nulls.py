"""Stage nulls: observe controls at full length, and let a random twin read what the model wrote."""

import pandas as pd

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, selection, session

PARAPHRASES = 1  # per item that the twin reads; with more, nulls would take over a fifth of a run


def main(params, log, model):
    run = session.start_session(params, model, log)
    if full_length := items.read_items(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model)
        responses = observation.generate_responses(run, full_length, [params.temperature] * len(full_length))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, responses, reference, lens=True))
    twin = run.twin()
    calibration, evaluation = _load_responses(params, model)
    reference = observation.compute_reference(twin, calibration)
    records = observation.observe_all(twin, calibration + evaluation, reference, lens=False)
    storage.write_records(paths.NULLS / model / "twin", *records)
    twin.finish()
    return run.finish()


def _load_responses(params, model):
    """Return the model's responses to calibration controls and to the twin's evaluation items."""
    study_items = selection.read_study_items(params)
    frame, _ = storage.read_records(paths.REFERENCE / model)
    responses = observation.load_responses(selection.calibration_controls(study_items), frame, PARAPHRASES)
    calibration = observation.responses_with_window(responses)[: params.nulls.twin_calibration]
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    twin_items = selection.twin_items(study_items, params)
    return calibration, observation.load_responses(twin_items, pd.concat(frames), PARAPHRASES)
