"""Stage heads: rank heads on calibration items, then score gold text with heads removed.

Removes the highest-ranked heads, and random heads for comparison.
"""

from wor import paths, storage
from wor.errors import UserError
from wor.pipeline import head_removal, observation, selection, session


def main(params, log, model):
    items = selection.heads_items(selection.read_study_items(params), params)
    for split, split_items in items.items():
        for role in selection.ROLES:
            if not any(item.role == role for item in split_items):
                remedy = "Raise dataset_specs.*.n. Reasoning items count only with a worked solution"
                raise UserError(f"{split} items", f"no {role} item", remedy)
    run = session.start_session(params, model, log)
    heads = observation.read_reference(paths.REFERENCE / model).head
    ranking = head_removal.rank_heads(run, items["calibration"], heads)
    effect = ranking["effect"].to_numpy().reshape(run.lm.n_layers, run.lm.n_heads)
    accuracy = head_removal.score_without_heads(run, items["evaluation"], effect, heads)
    storage.write_csv(paths.HEADS / model / "ranking.csv", ranking)
    storage.write_csv(paths.HEADS / model / "accuracy.csv", accuracy)
    return run.finish()
