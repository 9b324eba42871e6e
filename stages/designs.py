"""Stage designs: let the model read its own text to copy it, and text that people wrote.

Nothing is generated. What the model derived is read from stage activations.
"""

import pandas as pd

from wor import paths, storage
from wor.pipeline import designs, observation, selection, session


def main(params, log, model):
    study_items = selection.read_study_items(params)
    items = selection.designs_items(study_items, params)
    run = session.start_session(params, model, log)
    reference = observation.read_reference(paths.REFERENCE / model, params)
    frames = pd.concat([storage.read_records(paths.activations(model, dataset))[0] for dataset in params.datasets])
    own = observation.load_responses(items["own"], frames, paraphrases=0)
    gold = designs.gold_responses(run, items["gold"])
    solutions = [response for response in gold if response.item.role == "reasoning"]
    arms = [("own", "copy", designs.copy_responses(run, own)), ("gold", "derive", gold)]
    arms += [("gold", "copy", designs.copy_responses(run, solutions))]
    responses = [response for *_, group in arms for response in group]
    frame, arrays = observation.observe_all(run, responses, reference, params.designs.lens)
    for name, index in (("source", 0), ("arm", 1)):
        frame[name] = [arm[index] for arm in arms for _ in arm[2]]
    storage.write_records(paths.DESIGNS / model, frame, arrays)
    storage.write_json(paths.design_exclusions(model), selection.gold_exclusions(study_items, params))
    return run.finish()
