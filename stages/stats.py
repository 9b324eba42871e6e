"""stats: the numbers of the study, each with its interval, its n, and the reason where it isn't there."""

import pandas as pd

from wor import analysis, items, paths, stage, storage
from wor.statistics import criteria


def work(params, log):
    prompts = {item.item_id: item.prompt for dataset in params.datasets for item in items.read(paths.items(dataset))}
    judged, summary = {}, {}
    for model in params.models:
        table = pd.concat([storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets])
        result = analysis.analyse(table, prompts, params)
        result["temperatures"] = analysis.temperatures(storage.read_csv(paths.metrics(model, "temperatures")), params)
        result["heads"] = analysis.head_curve(storage.read_csv(paths.HEADS / model / "accuracy.csv"), params)
        card = storage.read_json(paths.card(model))
        result["confidence"] = params.statistics.confidence
        result |= {key: card[key] for key in ("label", "n_params", "n_layers", "n_heads")}
        storage.write_json(paths.STATS / f"{model}.json", result)
        delta, partial = result["added"]["rev"]["delta"], result["partial"]["rev"]["pearson"]
        judged[model] = {
            "n_params": card["n_params"],
            "delta_auc": delta,
            "partial_r": partial,
            "temperatures": result["temperatures"],
        }
        summary[model] = {
            "auroc_rev": result["auroc"]["rev"]["bootstrap"]["value"],
            "delta_auc": delta["value"],
            "ci_low": delta["low"],
            "ci_high": delta["high"],
            "partial_r": partial["value"],
            "n": result["n"]["used"],
        }
        log.say(f"{model}: AUROC of REV {summary[model]['auroc_rev']:.3f}, dAUC {delta['value']:+.3f}")
    storage.write_json(paths.STATS / "criteria.json", criteria.judge(judged, params.criteria))
    storage.write_json(paths.SUMMARY, summary)


if __name__ == "__main__":
    stage.run("stats", work)
