"""Compare two iterations: their parameters, their estimates, the same items, and where they ran."""

from pathlib import Path

import pandas as pd

from wor import storage
from wor.analysis.headline import judged_auroc, main_gains
from wor.iterations.configuration import differences, read_configuration, used_parameters
from wor.measures.registry import SCORES
from wor.statistics import bootstrap
from wor.statistics.clusters import count_clusters
from wor.statistics.result import Estimate, undefined

ENVIRONMENT = ("code.commit", "code.dirty", "code.code_hash", "python", "platform", "cpu", "cores", "compute", "packages")
DRAWS = 10_000
SAME_ITEM = ["item_id", "dataset", "role", "cluster", "token_len"]

Pair = tuple[object, object]
EstimatePair = tuple[dict | None, dict | None]


def compare_iterations(first: Path, second: Path) -> dict:
    """Return the whole comparison as plain values.

    ``parameters`` and ``environment`` hold what differs, and ``metrics`` the headline by model.
    ``paired`` has one row per model, class and measure. ``unpaired`` has one line per group of
    items that are not in ``paired``, with the reason.
    """
    pairs = paired_differences(first, second)
    return {
        "first": first.name,
        "second": second.name,
        "parameters": changed_parameters(first, second),
        "environment": changed_environment(first, second),
        "metrics": headline_metrics(first, second),
        "paired": pairs.astype(object).where(pairs.notna(), None).to_dict("records"),
        "unpaired": unpaired_items(first, second),
    }


def changed_parameters(first: Path, second: Path) -> dict[str, Pair]:
    """Return the parameters that differ. Specs of unused models and datasets are ignored."""
    configurations = [read_configuration(folder) for folder in (first, second)]
    used = [used_parameters(values) | {"compute": values["compute"]} for values in configurations]
    return differences(*used)


def changed_environment(first: Path, second: Path) -> dict[str, Pair]:
    """Return where commit, code, packages and machine differ."""
    changed = differences(*(storage.read_json(folder / "env_info.json") for folder in (first, second)))
    return {key: values for key, values in changed.items() if any(f"{key}.".startswith(f"{name}.") for name in ENVIRONMENT)}


def headline_metrics(first: Path, second: Path) -> dict[str, dict[str, EstimatePair]]:
    """Return the headline estimates of both by model; None where an iteration lacks the model."""
    results = [storage.read_json(folder / "results" / "aggregate_statistics.json")["models"] for folder in (first, second)]
    metrics = {}
    for model in dict.fromkeys([*results[0], *results[1]]):
        headlines = [_headline(models[model]) if model in models else {} for models in results]
        names = dict.fromkeys([*headlines[0], *headlines[1]])
        metrics[model] = {name: (headlines[0].get(name), headlines[1].get(name)) for name in names}
    return metrics


def _headline(result: dict) -> dict[str, dict]:
    estimates = {f"AUROC of {name}": judged_auroc(result, name) for name in SCORES if name in result["auroc"]}
    estimates["dAUC of rev"] = main_gains(result)["rev"]["delta"]
    # Iterations of an earlier version have Pearson's with Fisher's interval only.
    partial = result["partial"]["rev"]
    estimates["partial r of rev"] = partial.get("clustered", partial["pearson"])
    return estimates


def paired_differences(first: Path, second: Path, seed: int = 0) -> pd.DataFrame:
    """Return mean differences, second - first, over the items of both, by model, class and measure.

    The 95 % interval resamples clusters within datasets. An item is the same when its ID and the
    length of its prompt are the same. ``n`` counts the items with a value in both.
    """
    rows = []
    for model, before, after in _shared_tables(first, second):
        both = before.merge(after, on=SAME_ITEM, suffixes=("_a", "_b"))
        for role, items in both.groupby("role"):
            for score in SCORES:
                if f"{score}_b" not in items:  # an earlier version did not have this measure
                    continue
                change = items[f"{score}_b"] - items[f"{score}_a"]
                rows.append({"model": model, "role": role, "score": score, **_mean(items, change, seed).as_dict()})
    return pd.DataFrame(rows, columns=["model", "role", "score", *Estimate.__dataclass_fields__]).drop(columns=["p", "note"])


def unpaired_items(first: Path, second: Path) -> list[str]:
    """Return a line per model and class with items that cannot be paired, and the reasons."""
    lines = []
    for model, before, after in _shared_tables(first, second):
        tables = (table[["item_id", "role", "token_len", "cluster", "rev"]] for table in (before, after))
        every = pd.merge(*tables, on=["item_id", "role"], how="outer", suffixes=("_a", "_b"), indicator="side")
        for role, items in every.groupby("role"):
            shared = items[items["side"] == "both"]
            same = shared[(shared["token_len_a"] == shared["token_len_b"]) & (shared["cluster_a"] == shared["cluster_b"])]
            counts = {
                f"only in {first.name}": (items["side"] == "left_only").sum(),
                f"only in {second.name}": (items["side"] == "right_only").sum(),
                "another prompt length": len(shared) - len(same),
                "REV undefined in one or both": (same["rev_a"].isna() | same["rev_b"].isna()).sum(),
            }
            if reasons := [f"{count} {reason}" for reason, count in counts.items() if count]:
                used = len(items) - sum(counts.values())
                lines.append(f"{model}, {role}: {used} of {len(items)} items compared; left out: {', '.join(reasons)}")
    return lines


def _shared_tables(first: Path, second: Path) -> list[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Return the items' tables of each model that both have, by the model's label."""
    labels = [
        {entry["card"]["label"] for entry in storage.read_json(folder / "results" / "model_results.json").values()}
        for folder in (first, second)
    ]
    tables = []
    for model in sorted(labels[0] & labels[1]):
        before, after = (storage.read_csv(folder / "results" / f"{model}_metrics.csv") for folder in (first, second))
        tables.append((model, before, after))
    return tables


def _mean(items: pd.DataFrame, change: pd.Series, seed: int) -> Estimate:
    items, values = items[change.notna()], change.dropna().to_numpy(float)
    if not len(items):
        return undefined("no item has a value in both")
    weights = bootstrap.cluster_weights(items["cluster"].to_numpy(), items["dataset"].to_numpy(), DRAWS, seed)
    clusters = count_clusters(weights)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, len(items))
    samples = weights @ values / weights.sum(1)
    return Estimate(float(values.mean()), *bootstrap.percentile_interval(samples, 0.95, clusters), n=len(items))
