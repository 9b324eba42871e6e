"""heads: rank heads on calibration items, remove a share of them, and score gold text; random heads beside it."""

from wor import head_removal, items, observation, paths, stage, storage
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
            raise UserError(f"{split} items", f"no {missing.pop()} item", "Raise dataset_specs.*.n")
    lm, placement = stage.load_model(params, model, log)
    means = observation.read_means(paths.REFERENCE / model)
    ranking = head_removal.rank(lm, chosen["calibration"], means, settings.span, log)
    effect = ranking["effect"].to_numpy().reshape(lm.n_layers, lm.n_heads)
    accuracy = head_removal.removal(lm, chosen["evaluation"], effect, means, params, log)
    storage.write_csv(paths.HEADS / model / "ranking.csv", ranking)
    storage.write_csv(paths.HEADS / model / "accuracy.csv", accuracy)
    return stage.environment(placement)


if __name__ == "__main__":
    stage.run("heads", work, "model")
