"""Stage heads: rank heads on calibration items, then score gold text with heads removed.

Removes the highest-ranked heads, and random others for comparison. No cluster of items does both.
"""

import numpy as np

from wor import paths, storage
from wor.pipeline import head_removal, observation, selection, session


def main(params, log, model):
    study_items, folder = selection.read_study_items(params), paths.HEADS / model
    items = selection.heads_items(study_items, params)
    run = session.start_session(params, model, log)
    heads = observation.read_reference(paths.REFERENCE / model, params).head
    kl = head_removal.measure_heads(run, items["calibration"], heads)
    ranking = head_removal.rank_heads(items["calibration"], kl)
    accuracy = head_removal.score_without_heads(run, items["evaluation"], ranking, heads)
    storage.write_records(folder, head_removal.describe_items(items["calibration"]), {"kl": kl.astype(np.float32)})
    storage.write_csv(folder / "ranking.csv", ranking)
    storage.write_csv(folder / "accuracy.csv", accuracy)
    storage.write_json(folder / "unused.json", selection.unused_by_heads(study_items))
    return run.finish()
