"""Stage reference: average the outputs of the model's components over calibration controls.

Also observes these controls, whose KLs calibrate APL.
"""

from wor import paths, storage
from wor.pipeline import observation, selection, session


def main(params, log, model):
    controls = selection.calibration_controls(selection.read_study_items(params))
    run = session.start_session(params, model, log)
    responses = observation.generate_responses(run, controls, [params.reference.temperature] * len(controls))
    reference = observation.compute_reference(run, observation.responses_with_window(responses))
    folder = paths.REFERENCE / model
    observation.write_reference(folder, reference)
    frame, arrays = observation.observe_all(run, responses, observation.read_reference(folder), lens=False)
    storage.write_records(folder, frame, arrays)
    return run.finish()
