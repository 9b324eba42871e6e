"""Stage nulls: observe controls at full length, and let null models read what the model wrote."""

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, selection, session


def main(params, log, model):
    run = session.start_session(params, model, log)
    if full_length := items.read_items(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model)
        responses = observation.generate_responses(run, full_length, [params.temperature] * len(full_length))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, responses, reference, lens=True))
    calibration, evaluation = _load_responses(params, model)
    null_models = selection.null_models(params)
    records = [_observe(run, null, ablated, calibration, evaluation) for null, ablated in null_models.items()]
    frames, arrays = zip(*records, strict=True)
    joined = {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
    storage.write_records(paths.NULLS / model / "null_models", pd.concat(frames, ignore_index=True), joined)
    return run.finish()


def _observe(run, null, ablated, calibration, evaluation):
    """Return the records of one null model. It has a reference of its own."""
    kind, seed = null
    run.log.info(f"null model: {kind}, seed {seed}")
    session = run.null_model(null)
    reference = observation.compute_reference(session, calibration)
    frame, arrays = observation.observe_all(session, calibration + evaluation, reference, lens=False, ablated=ablated)
    return frame.assign(kind=kind, seed=seed), arrays


def _load_responses(params, model):
    """Return the model's responses to calibration controls and to the null models' items."""
    study_items = selection.read_study_items(params)
    frame, _ = storage.read_records(paths.REFERENCE / model)
    responses = observation.load_responses(selection.calibration_controls(study_items), frame, params.nulls.paraphrases)
    calibration = observation.responses_with_window(responses)[: params.nulls.calibration]
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    evaluation = selection.null_items(study_items, params)
    return calibration, observation.load_responses(evaluation, pd.concat(frames), params.nulls.paraphrases)
