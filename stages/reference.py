"""Stage reference: average the outputs of the model's components over held-out items.

Averages each class by itself. Observes the controls, whose KLs calibrate APL.
"""

from wor import paths, storage
from wor.pipeline import observation, selection, session


def main(params, log, model):
    items = selection.read_study_items(params)
    controls, reasoning = selection.calibration_controls(items), selection.reference_reasoning(items, params)
    held_out = [*controls, *reasoning]
    run = session.start_session(params, model, log)
    responses = observation.generate_responses(run, held_out, [params.reference.temperature] * len(held_out))
    references = observation.compute_references(run, observation.responses_with_window(responses))
    folder = paths.REFERENCE / model
    observation.write_references(folder, references)
    reference = observation.select_reference(references, params.ablation.reference)
    others = observation.Others(references, selection.stand_ins_items(controls, params))
    frame, arrays = observation.observe_all(run, responses[: len(controls)], reference, lens=False, others=others)
    storage.write_records(folder, frame, arrays)
    storage.write_records(paths.held_out(model), observation.describe_responses(run.lm, responses[len(controls) :]), {})
    return run.finish()
