"""figures: Fig1 to Fig3 with their captions, and the tables that `dvc plots` draws."""

import pandas as pd

from wor import paths, stage, storage
from wor.figures import ablation, curves, scaling, style, temperature


def work(params, log):
    results = {model: storage.read_json(paths.STATS / f"{model}.json") for model in params.models}
    for name, figure, points in (
        ("scaling", scaling, scaling.table(results, params.criteria.delta_auc)),
        ("temp_robustness", temperature, temperature.table(results)),
        ("ablation_curve", ablation, ablation.table(results)),
    ):
        storage.write_csv(paths.PLOTS / f"{name}.csv", points)
        style.save(figure.draw(points), paths.FIGURES / name)
        storage.write_json(paths.FIGURES / f"{name}.json", figure.describe(points, params))
    tables = {curve: [] for curve in (curves.roc, curves.distributions, curves.layer_profile)}
    for model in params.models:
        label = results[model]["label"]
        items = pd.concat([storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets])
        layers = pd.concat([storage.read_csv(paths.METRICS / f"{model}_{dataset}_layers.csv") for dataset in params.datasets])
        layers = layers.merge(items[["item_id", "role"]], on="item_id")
        for curve, parts in tables.items():
            parts.append(curve(layers if curve is curves.layer_profile else items, label))
    for curve, parts in tables.items():
        storage.write_csv(paths.PLOTS / f"{curve.__name__}.csv", pd.concat(parts, ignore_index=True))
    log.say(f"3 figures and {3 + len(tables)} tables in {paths.PLOTS}/")


if __name__ == "__main__":
    stage.run("figures", work)
