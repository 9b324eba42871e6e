"""figures: draw each figure with its caption, and write the tables of `dvc plots`."""

from importlib import import_module

import pandas as pd

from wor import paths, storage
from wor.figures import FIGURES, curves, style


def main(params, log):
    results = {model: storage.read_json(paths.STATS / f"{model}.json") for model in params.models}
    for number, (name, module) in enumerate(FIGURES.items(), 1):
        figure = import_module(f"wor.figures.{module}")
        points = figure.table(results, params)
        storage.write_csv(paths.PLOT_TABLES / f"{name}.csv", points)
        style.save(figure.draw(points), paths.FIGURES / name)
        storage.write_json(paths.FIGURES / f"{name}.json", {"figure": f"Fig{number}", **figure.describe(points, params)})
    tables: dict[str, list[pd.DataFrame]] = {"roc": [], "distributions": [], "layer_profile": []}
    for model in params.models:
        label = results[model]["label"]
        items = pd.concat([storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets])
        layers = pd.concat([storage.read_csv(paths.METRICS / f"{model}_{dataset}_layers.csv") for dataset in params.datasets])
        tables["roc"].append(curves.roc(items, label))
        tables["distributions"].append(curves.distributions(items, label))
        tables["layer_profile"].append(curves.layer_profile(layers.merge(items[["item_id", "role"]], on="item_id"), label))
    for name, parts in tables.items():
        storage.write_csv(paths.PLOT_TABLES / f"{name}.csv", pd.concat(parts, ignore_index=True))
    log.info(f"{len(FIGURES)} figures and {len(FIGURES) + len(tables)} tables in {paths.PLOTS}/")
