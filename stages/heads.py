"""heads: rank heads on calibration items, remove a share of them, and score gold text; random heads beside it."""

from wor import paths, storage
from wor.data import items
from wor.errors import UserError
from wor.pipeline import head_removal, observation, session


def main(params, log, model):
    entries = [item for dataset in params.datasets for item in items.read_items(paths.items(dataset))]
    settings = params.heads
    chosen = {
        split: [item for role in ("reasoning", "control") for item in head_removal.items_with_gold(entries, role, split, n)]
        for split, n in (("calibration", settings.n_rank), ("evaluation", settings.n_test))
    }
    for split, found in chosen.items():
        if missing := {"reasoning", "control"} - {item.role for item in found}:
            remedy = "Raise dataset_specs.*.n; of reasoning datasets those count that have worked solutions"
            raise UserError(f"{split} items", f"no {missing.pop()} item", remedy)
    run = session.start_session(params, model, log)
    heads = observation.read_reference(paths.REFERENCE / model).head
    ranking = head_removal.rank_heads(run, chosen["calibration"], heads)
    effect = ranking["effect"].to_numpy().reshape(run.lm.n_layers, run.lm.n_heads)
    accuracy = head_removal.score_without_heads(run, chosen["evaluation"], effect, heads)
    storage.write_csv(paths.HEADS / model / "ranking.csv", ranking)
    storage.write_csv(paths.HEADS / model / "accuracy.csv", accuracy)
    return run.finish()
