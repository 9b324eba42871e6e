"""Stage nulls: observe controls at full length, and let null models read what the model wrote."""

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, selection, session


def main(params, log, model):
    run = session.start_session(params, model, log)
    if full_length := items.read_items(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model, params)
        responses = observation.generate_responses(run, full_length, [params.temperature] * len(full_length))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, responses, reference, lens=True))
    responses = _load_responses(params, model)
    null_models = selection.null_models(params)
    records = [_observe(run, params, null, ablated, *responses) for null, ablated in null_models.items()]
    frames, arrays = zip(*records, strict=True)
    joined = {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
    storage.write_records(paths.NULLS / model / "null_models", pd.concat(frames, ignore_index=True), joined)
    return run.finish()


def _observe(run, params, null, ablated, calibration, reasoning, evaluation):
    """Return the records of one null model. It has a reference of its own."""
    kind, seed = null
    run.log.info(f"null model: {kind}, seed {seed}")
    session = run.null_model(null)
    references = observation.compute_references(session, calibration + reasoning)
    reference = observation.select_reference(references, params.ablation.reference)
    frame, arrays = observation.observe_all(session, calibration + evaluation, reference, params.nulls.lens, ablated)
    return frame.assign(kind=kind, seed=seed), arrays


def _load_responses(params, model):
    """Return responses to held-out controls, to held-out reasoning, and to the null models' items.

    As many reasoning items as controls make the null models' balanced reference.
    """
    study_items, nulls = selection.read_study_items(params), params.nulls
    calibration, reasoning = (
        [
            response
            for response in observation.load_responses(held_out, storage.read_records(folder)[0], nulls.paraphrases)
            if not response.exclusion_reason
        ][: nulls.calibration]
        for held_out, folder in (
            (selection.calibration_controls(study_items), paths.REFERENCE / model),
            (selection.reference_reasoning(study_items, params), paths.held_out(model)),
        )
    )
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    evaluation = selection.null_items(study_items, params)
    return calibration, reasoning, observation.load_responses(evaluation, pd.concat(frames), nulls.paraphrases)
