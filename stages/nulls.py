"""Stage nulls: observe controls at full length, and let a random twin read what the model wrote."""

import pandas as pd

from wor import paths, storage
from wor.data import items
from wor.pipeline import observation, selection, session

PARAPHRASES = 1  # per item that the twin reads; with more, nulls would take over a fifth of a run


def main(params, log, model):
    run = session.start_session(params, model, log)
    if full_length := items.read_items(paths.LITERAL_ITEMS):
        reference = observation.read_reference(paths.REFERENCE / model, params)
        responses = observation.generate_responses(run, full_length, [params.temperature] * len(full_length))
        storage.write_records(paths.NULLS / model / "literal", *observation.observe_all(run, responses, reference, lens=True))
    twin = run.twin()
    calibration, reasoning, evaluation = _load_responses(params, model)
    references = observation.compute_references(twin, calibration + reasoning)
    reference = observation.select_reference(references, params.ablation.reference)
    records = observation.observe_all(twin, calibration + evaluation, reference, lens=False)
    storage.write_records(paths.NULLS / model / "twin", *records)
    twin.finish()
    return run.finish()


def _load_responses(params, model):
    """Return the model's responses to held-out controls, reasoning and the twin's evaluation items.

    As many reasoning items as controls make the twin's balanced reference.
    """
    study_items = selection.read_study_items(params)
    calibration, reasoning = (
        [
            response
            for response in observation.load_responses(held_out, storage.read_records(folder)[0], PARAPHRASES)
            if not response.exclusion_reason
        ][: params.nulls.twin_calibration]
        for held_out, folder in (
            (selection.calibration_controls(study_items), paths.REFERENCE / model),
            (selection.reference_reasoning(study_items, params), paths.held_out(model)),
        )
    )
    frames = [storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets]
    twin_items = selection.twin_items(study_items, params)
    return calibration, reasoning, observation.load_responses(twin_items, pd.concat(frames), PARAPHRASES)
