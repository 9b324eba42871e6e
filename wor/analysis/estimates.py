"""Every estimate of a study as one tidy table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `wor` starts without pandas
    import pandas as pd

COLUMNS = ["model", "quantity", "of", "method", "value", "low", "high", "p", "n", "reason", "note"]
STAND_IN = {"apl": "stand-in", "sib": "centre"}
BOOTSTRAP = "bootstrap"  # the stratified cluster bootstrap
REFIT = "bootstrap with refit"
# The parts of an incremental value, with the quantity and the method of each.
GAINS = (
    ("delta", "delta_auc", REFIT),
    ("unbounded", "delta_auc", "either sign"),
    ("coefficient", "coefficient", REFIT),
    ("equivalence", "delta_auc", "two one-sided tests"),
    ("bayes_factor", "bayes_factor", "bic"),
    ("delong", "delta_auc", "delong"),
    ("likelihood_ratio", "likelihood_ratio", "chi_squared"),
)


def estimate_table(results: dict[str, dict]) -> pd.DataFrame:
    """Return one row per model and estimate; ``value`` is NaN where ``reason`` says why.

    ``of`` names the measure, covariate, baseline or null, and the group of items if not all count.
    """
    import pandas as pd

    rows = [
        {"model": result["label"], "quantity": quantity, "of": of, "method": method, "note": "", **estimate}
        for result in results.values()
        for quantity, of, method, estimate in _estimates(result)
    ]
    return pd.DataFrame(rows)[COLUMNS]


def _estimates(result: dict) -> Iterator[tuple[str, str, str, dict]]:
    """Yield quantity, what it is of, method and the estimate."""
    for name, methods in result["auroc"].items():
        for method, estimate in methods.items():
            # The permutation's value is the mean AUROC under shuffled labels, and p is the test's.
            yield "null_auroc" if method == "permuted" else "auroc", name, method, estimate
    for key, suffix in (("added", ""), ("added_full", " (full baseline)")):
        yield "auroc", f"baseline{suffix}", BOOTSTRAP, result[key]["rev"]["baseline"]
        for name, parts in result[key].items():
            yield "auroc", f"baseline + {name}{suffix}", BOOTSTRAP, parts["full"]
            for part, quantity, method in GAINS:
                yield quantity, f"{name}{suffix}", method, parts[part]
    for name, parts in result["negative_controls"].items():
        yield "auroc", f"{name} (negative control)", BOOTSTRAP, parts["auroc"]
        for key, suffix in (("added", ""), ("added_full", ", full baseline")):
            yield "auroc", f"baseline of {name} (negative control{suffix})", BOOTSTRAP, parts[key]["baseline"]
            yield "delta_auc", f"{name} (negative control{suffix})", REFIT, parts[key]["delta"]
            yield "coefficient", f"{name} (negative control{suffix})", REFIT, parts[key]["coefficient"]
    for name, methods in result["partial"].items():
        for method, estimate in methods.items():
            quantity = "semi_partial_r" if method.startswith("semi_") else "partial_r"
            yield quantity, name, method.removeprefix("semi_"), estimate
    for name, estimate in result["mixed"].items():
        yield "class_effect", name, "mixed model", estimate
    yield "auroc", "bag of words", BOOTSTRAP, result["nulls"]["surface_ceiling"]
    for kind, part in result["wording"].items():
        if kind == "given_continuation":
            for name, estimate in part.items():
                yield "partial_r", f"{name} given the continuation's words", "clustered", estimate
        else:
            yield "auroc", f"bag of words ({kind})", BOOTSTRAP, part["auroc"]
            yield "null_auroc", f"bag of words ({kind})", "control_task", part["control_task"]
    yield "auroc", "heads", BOOTSTRAP, result["rivals"]["auroc_heads"]
    yield "null_auroc", "heads", "control_task", result["rivals"]["control_task"]
    for dataset, scores in result["datasets"]["auroc"].items():
        for name, estimate in scores.items():
            yield "auroc", f"{name} ({dataset})", BOOTSTRAP, estimate
    for pair, scores in result["datasets"]["difference"].items():
        for name, estimate in scores.items():
            yield "auroc_difference", f"{name} ({pair})", BOOTSTRAP, estimate
    for name, estimate in result["rivals"]["difference"].items():
        yield "auroc_difference", f"rev - {name}", BOOTSTRAP, estimate
    yield from _of_null_models(result["null_models"])
    for group, part in result["literal"].items():
        if group != "reason":
            for name, estimate in part["auroc"].items():
                yield "auroc", f"{name} ({group})", BOOTSTRAP, estimate
    for section, quantity, outcome in (("dose_response", "trend", "steps"), ("correctness", "auroc", "right answer")):
        for dataset, parts in result[section].items():
            for key, method in ((quantity, "kendall" if quantity == "trend" else BOOTSTRAP), ("given_length", "clustered")):
                for name, estimate in parts[key].items():
                    of = f"{name} by {outcome} ({dataset})"
                    yield quantity if key == quantity else "partial_r", of, method, estimate
    for score, entries in result.get("stand_ins", {}).items():
        for name, parts in entries.items():
            for quantity, key in (("auroc", "auroc"), ("auroc_difference", "difference"), ("delta_auc", "delta_auc")):
                if key in parts:
                    yield quantity, f"{score} ({STAND_IN[score]} {name})", BOOTSTRAP, parts[key]
    yield from _design_estimates(result["designs"])
    for row in result["temperatures"]["by_temperature"]:
        for name, quantity in (("reasoning", "mean_rev"), ("control", "mean_rev"), ("auroc", "auroc")):
            yield quantity, f"{'rev' if name == 'auroc' else name} at {row['temperature']:g}", BOOTSTRAP, row[name]
    yield "variance_of_mean_rev", "reasoning over temperatures", BOOTSTRAP, result["temperatures"]["variance"]
    for row in result["heads"]:
        yield "token_accuracy", f"{row['role']}, {row['kind']} heads, share {row['share']:g}", BOOTSTRAP, row
    for row in result.get("head_differences", []):
        share = "mean over shares" if row["share"] == "mean" else f"share {row['share']:g}"
        yield "token_accuracy_difference", f"{row['role']}, ranked - random heads, {share}", BOOTSTRAP, row
    if "head_ranking" in result:
        yield "split_half_reliability", "ranking of heads", "jackknife", result["head_ranking"]["reliability"]


def _of_null_models(result: dict) -> Iterator[tuple[str, str, str, dict]]:
    for name, estimate in result["auroc"].items():
        yield "auroc", f"{name} (on the items of the null models)", BOOTSTRAP, estimate
    for kind, parts in result["kinds"].items():
        for name, entry in parts["auroc"].items():
            yield "auroc", f"{name} ({kind}, mean over seeds)", BOOTSTRAP, entry["mean"]
            for seed, estimate in entry["by_seed"].items():
                yield "auroc", f"{name} ({kind}, seed {seed})", BOOTSTRAP, estimate
        yield "auroc", f"heads ({kind}, mean over seeds)", BOOTSTRAP, parts["heads"]
        for name in parts["difference"]:
            other = f"{name} ({kind})"
            yield "auroc_difference", f"{name} - {other}", BOOTSTRAP, parts["difference"][name]
            yield "correlation", f"{name} with {other}", "clustered", parts["correlation"][name]
            yield "reliability", f"{name} ({kind}, mean over seeds)", BOOTSTRAP, parts["reliability"][name]
        for name, given in parts["partial"].items():
            for other, estimate in given.items():
                yield "partial_r", f"{name} given {other} ({kind})", "errors in variables", estimate
                yield "delta_auc", f"{name} given {other} ({kind})", BOOTSTRAP, parts["delta"][name][other]


def _design_estimates(designs: dict) -> Iterator[tuple[str, str, str, dict]]:
    for source, parts in designs["derive_copy"].items():
        for key, method in (("difference", "sign_flip"), ("equal_entropy", "clustered"), ("matched", "sign_flip")):
            for name, estimate in parts[key].items():
                where = {"difference": "", "equal_entropy": " at equal entropy", "matched": " over matched tokens"}[key]
                yield "derive_minus_copy", f"{name}{where} ({source} text)", method, estimate
        for dataset, estimates in parts["by_dataset"].items():
            for name, estimate in estimates.items():
                yield "derive_minus_copy", f"{name} ({source} text, {dataset})", "sign_flip", estimate
    gold = designs["gold"]
    for name, estimate in gold["auroc"].items():
        yield "auroc", f"{name} (gold text)", BOOTSTRAP, estimate
    yield "auroc", "baseline (gold text)", BOOTSTRAP, gold["baseline"]
    for name, estimate in gold["delta_auc"].items():
        yield "delta_auc", f"{name} (gold text)", BOOTSTRAP, estimate
    for dataset, slopes in designs["dose"].items():
        for name, estimate in slopes.items():
            yield "slope_within_clusters", f"{name} by steps ({dataset})", "clustered", estimate
