"""heads: rank heads on calibration items, remove a share of them, and score gold text; random heads beside it."""

from wor import head_removal, items, observation, paths, session, stage, storage
from wor.errors import UserError


def work(params, log, model):
    entries = [item for dataset in params.datasets for item in items.read(paths.items(dataset))]
    settings = params.heads
    chosen = {
        split: [item for role in ("reasoning", "control") for item in head_removal.choose(entries, role, split, n)]
        for split, n in (("calibration", settings.n_rank), ("evaluation", settings.n_test))
    }
    for split, found in chosen.items():
        if missing := {"reasoning", "control"} - {item.role for item in found}:
            remedy = "Raise dataset_specs.*.n; of reasoning datasets those count that have worked solutions"
            raise UserError(f"{split} items", f"no {missing.pop()} item", remedy)
    run = session.begin(params, model, log)
    heads = observation.read_reference(paths.REFERENCE / model).head
    ranking = head_removal.rank(run, chosen["calibration"], heads)
    effect = ranking["effect"].to_numpy().reshape(run.lm.n_layers, run.lm.n_heads)
    accuracy = head_removal.removal(run, chosen["evaluation"], effect, heads)
    storage.write_csv(paths.HEADS / model / "ranking.csv", ranking)
    storage.write_csv(paths.HEADS / model / "accuracy.csv", accuracy)
    return run.finish()


if __name__ == "__main__":
    stage.run("heads", work, "model")
