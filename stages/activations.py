"""Stage activations: generate and observe the evaluation items of a dataset.

Writes sufficient statistics for the measures, not full residuals.
"""

from wor import paths, storage
from wor.data.items import read_items
from wor.pipeline import observation, selection, session


def main(params, log, model, dataset):
    items = selection.activations_items(read_items(paths.items(dataset)), dataset)
    run = session.start_session(params, model, log)
    references = observation.read_references(paths.REFERENCE / model)
    reference = observation.select_reference(references, params.ablation.reference)
    others = observation.Others(references, selection.stand_ins_items(items, params))
    responses = observation.generate_responses(run, items, [params.temperature] * len(items))
    frame, arrays = observation.observe_all(run, responses, reference, lens=True, others=others)
    storage.write_records(paths.activations(model, dataset), frame, arrays)
    return run.finish()
