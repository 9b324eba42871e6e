"""Two iterations side by side: what was set differently, what came out, and where they ran."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from wor import storage
from wor.config.overrides import flatten
from wor.measures.registry import SCORES
from wor.statistics import bootstrap
from wor.statistics.result import Estimate, undefined

ABSENT = "(not there)"
ENVIRONMENT = ("code.commit", "code.dirty", "code.code_hash", "python", "platform", "cpu", "cores", "compute")
DRAWS = 10_000


def differences(first: dict, second: dict) -> dict[str, tuple[object, object]]:
    """Dotted keys whose values differ, with both."""
    one, two = dict(flatten(first)), dict(flatten(second))
    keys = list(dict.fromkeys([*one, *two]))
    return {key: (one.get(key, ABSENT), two.get(key, ABSENT)) for key in keys if one.get(key, ABSENT) != two.get(key, ABSENT)}


def compare_iterations(first: Path, second: Path) -> dict:
    """All of it: ``parameters`` and ``environment`` that differ, ``metrics`` by model, and ``paired``, a row a measure."""
    pairs = paired_differences(first, second)
    return {
        "first": first.name,
        "second": second.name,
        "parameters": changed_parameters(first, second),
        "environment": changed_environment(first, second),
        "metrics": headline_metrics(first, second),
        "paired": pairs.astype(object).where(pairs.notna(), None).to_dict("records"),
    }


def changed_parameters(first: Path, second: Path) -> dict[str, tuple[object, object]]:
    return differences(*(yaml.safe_load((folder / "config_used.yaml").read_text()) for folder in (first, second)))


def changed_environment(first: Path, second: Path) -> dict[str, tuple[object, object]]:
    """Commit, code, packages and machine where they differ."""
    both = [storage.read_json(folder / "env_info.json") for folder in (first, second)]
    found = differences(*both)
    wanted = (*ENVIRONMENT, "packages")
    return {key: values for key, values in found.items() if any(key == name or key.startswith(f"{name}.") for name in wanted)}


def headline_metrics(first: Path, second: Path) -> dict[str, dict[str, tuple[dict | None, dict | None]]]:
    """Per model the headline estimates of both; None where an iteration has no such model."""
    both = [storage.read_json(folder / "results" / "aggregate_statistics.json")["models"] for folder in (first, second)]
    found = {}
    for model in dict.fromkeys([*both[0], *both[1]]):
        headline = [_headline(models[model]) if model in models else {} for models in both]
        names = dict.fromkeys([*headline[0], *headline[1]])
        found[model] = {name: tuple(each.get(name) for each in headline) for name in names}
    return found


def _headline(result: dict) -> dict[str, dict]:
    found = {f"AUROC of {name}": result["auroc"][name]["bootstrap"] for name in SCORES if name in result["auroc"]}
    found["dAUC of rev"] = result["added"]["rev"]["delta"]
    # Iterations of an earlier version have Pearson's with Fisher's interval only.
    partial = result["partial"]["rev"]
    found["partial r of rev"] = partial.get("clustered", partial["pearson"])
    return found


def paired_differences(first: Path, second: Path, seed: int = 0) -> pd.DataFrame:
    """Mean difference, second minus first, over the items that both have, by model, class and score.

    An item is the same when its ID and the length of its prompt are. The interval resamples clusters within
    datasets. Items without a value in one of the two are left out, and ``n`` says how many are left.
    """
    labels = [
        {entry["card"]["label"] for entry in storage.read_json(folder / "results" / "model_results.json").values()}
        for folder in (first, second)
    ]
    rows = []
    for model in sorted(labels[0] & labels[1]):
        one, two = (storage.read_csv(folder / "results" / f"{model}_metrics.csv") for folder in (first, second))
        both = one.merge(two, on=["item_id", "dataset", "role", "cluster", "token_len"], suffixes=("_a", "_b"))
        for role, items in both.groupby("role"):
            for score in SCORES:
                if f"{score}_b" not in items:  # one of the two is from before there was this measure
                    continue
                change = items[f"{score}_b"] - items[f"{score}_a"]
                rows.append({"model": model, "role": role, "score": score, **_mean(items, change, seed).as_dict()})
    return pd.DataFrame(rows, columns=["model", "role", "score", *Estimate.__dataclass_fields__]).drop(columns=["p", "note"])


def _mean(items: pd.DataFrame, change: pd.Series, seed: int) -> Estimate:
    items, change = items[change.notna()], change.dropna().to_numpy(float)
    if not len(items):
        return undefined("no item has a value in both")
    drawn = bootstrap.cluster_weights(items["cluster"], items["dataset"], DRAWS, seed)
    samples = drawn @ change / drawn.sum(1)
    return Estimate(float(change.mean()), *bootstrap.percentile_interval(samples, 0.95), n=len(items))
