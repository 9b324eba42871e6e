"""What designs show that hold content fixed: derive against copy, gold text, dose in a template."""

import numpy as np
import pandas as pd

from wor.analysis.evaluation import COVARIATES, Evaluation, auroc_by_score, bootstrap_weights, class_labels
from wor.config.params import Params
from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import COMPARED, GOLD, MATCHED, SCORES
from wor.statistics import paired
from wor.statistics.baseline import Baseline
from wor.statistics.clusters import with_note
from wor.statistics.result import Estimate, undefined

SOURCES = ("own", "gold")
PREDICTIONS = ("window_entropy", "window_logprob", "token_len")  # what else differs between the arms
GOLD_COVARIATES = [*COVARIATES, "prompt_perplexity", *(name for name in WINDOW_COVARIATES if name != "window_logprob")]


def analyse_designs(table: pd.DataFrame, excluded: dict[str, int], evaluation: Evaluation) -> dict:
    """Return the results of all designs. ``table`` is from `measures.designs.design_table`.

    ``excluded`` counts the items without enough gold text, by class and reason.
    """
    params = evaluation.params
    return {
        "derive_copy": {source: compare_arms(table[table["source"] == source], params) for source in SOURCES},
        "gold": separate_gold(table[(table["source"] == "gold") & (table["arm"] == "derive")], excluded, params),
        "dose": dose_within_clusters(evaluation),
    }


def compare_arms(rows: pd.DataFrame, params: Params) -> dict:
    """Return derive minus copy, within items, of the effects, APL and APE. The tokens are the same.

    - ``difference``: the mean over items, by sign flips of whole clusters
    - ``equal_entropy``: where the predictions' mean entropy is the same in both arms. It is the
      intercept of a straight line over the difference of entropies, with clustered errors
    - ``matched_tokens``: the mean difference over those tokens of each item whose two predictions
      have nearly the same entropy

    A difference that vanishes in the second and third is one of uncertainty, not of derivation.
    """
    derived, copied = (rows[rows["arm"] == arm].set_index("item_id") for arm in ("derive", "copy"))
    derived = derived[derived["role"] == "reasoning"]
    names = derived.index[derived["effect"].notna() & copied["effect"].reindex(derived.index).notna()]
    pairs = derived.loc[names, ["dataset", "cluster"]]
    arms = {"derive": derived.loc[names], "copy": copied.loc[names]}
    reasons = derived.loc[derived.index.difference(names), "reason"]
    means = {name: {arm: values[name].mean() for arm, values in arms.items()} for name in (*COMPARED, *PREDICTIONS)}
    change = {
        name: (arms["derive"][name] - arms["copy"][name]).to_numpy(float) for name in arms["derive"].columns if name in _USED
    }
    cluster = pairs["cluster"].to_numpy(str)

    def flipped(values: np.ndarray, mask: np.ndarray) -> dict:
        settings = params.statistics
        return paired.sign_flip_mean(
            values[mask], cluster[mask], settings.bootstrap_draws, params.seed, settings.confidence
        ).as_dict()

    everything = np.ones(len(pairs), bool)
    return {
        "n": {"items": len(derived), "used": len(pairs), "clusters": int(pairs["cluster"].nunique())},
        "excluded": {str(reason): int(n) for reason, n in reasons.value_counts().items()},
        "means": means,
        "matched_tokens": float(arms["derive"]["matched_tokens"].mean()),
        "difference": {name: flipped(change[name], everything) for name in COMPARED},
        "by_dataset": {
            str(dataset): {name: flipped(change[name], (pairs["dataset"] == dataset).to_numpy()) for name in COMPARED}
            for dataset in pairs["dataset"].unique()
        },
        "equal_entropy": {
            name: at_equal_entropy(change[name], change["window_entropy"], cluster, params.statistics.confidence).as_dict()
            for name in COMPARED
        },
        "matched": {name: flipped(change[f"{name}_matched"], ~np.isnan(change[f"{name}_matched"])) for name in MATCHED},
    }


_USED = {*COMPARED, *(f"{name}_matched" for name in MATCHED), "window_entropy"}


def at_equal_entropy(difference: np.ndarray, entropy: np.ndarray, cluster: np.ndarray, confidence: float) -> Estimate:
    """Return the difference, [N], where that of the predictions' entropies, [N] in nats, is 0.

    It is the intercept of a straight line. Its note says where 0 lies beyond all items, so that the
    value rests on the line being straight there too. Its interval does not know of that.
    """
    if len(entropy) and not np.ptp(entropy):
        return undefined("the difference of entropies does not vary", len(entropy))
    design = np.column_stack([np.ones(len(entropy)), entropy])
    estimate = paired.clustered_coefficient(difference, design, cluster, 0, confidence)
    if estimate.reason or entropy.min() <= 0 <= entropy.max():
        return estimate
    note = f"an extrapolation: the entropies differ by {entropy.min():+.2f} to {entropy.max():+.2f} nats in every item"
    return with_note(estimate, note)


def separate_gold(rows: pd.DataFrame, excluded: dict[str, int], params: Params) -> dict:
    """Return how each measure separates the classes where people wrote the text, and beyond what.

    AUROC, and dAUC over GOLD_COVARIATES: all that the text and the predictions alone tell. All
    texts are as long as the window, so ``avg_logprob`` is the window's.
    """
    settings = params.statistics
    scored = rows[rows["effect"].notna()].reset_index(drop=True)
    label, weights = class_labels(scored), bootstrap_weights(scored, params)
    auroc = auroc_by_score(scored, (*GOLD, "window_entropy", "window_logprob"), label, weights, params)
    covariates, cluster = scored[GOLD_COVARIATES].to_numpy(float), scored["cluster"].to_numpy(str)
    baseline = Baseline(label, covariates, cluster, weights, settings.folds, settings.repeats, params.seed, settings.confidence)
    scores = {name: scored[name].to_numpy(float) for name in GOLD}
    baseline.prepare(list(scores.values()), [0] * len(scores))
    delta = {name: baseline.delta(score)[0].as_dict() for name, score in scores.items()}
    if not params.designs.paraphrases:
        for name in ("sib", "rev"):
            auroc[name] = delta[name] = undefined("no paraphrase is read (designs.paraphrases is 0)", len(scored)).as_dict()
    return {
        "n": {"items": len(rows), "reasoning": int(label.sum()), "control": int((1 - label).sum())},
        "excluded": excluded,
        "auroc": auroc,
        "baseline": baseline.estimate().as_dict(),
        "delta_auc": delta,
    }


def dose_within_clusters(evaluation: Evaluation) -> dict[str, dict]:
    """Return the slope of each score over the steps of the solution within clusters, by dataset.

    A cluster is a template, so topic and wording stay. Without a cluster whose items have different
    numbers of steps there is a reason.
    """
    confidence, datasets = evaluation.params.statistics.confidence, {}
    for dataset, rows in evaluation.scored[evaluation.scored["steps"].notna()].groupby("dataset"):
        steps, cluster = rows["steps"].to_numpy(float), rows["cluster"].to_numpy(str)
        slopes = {name: paired.within_cluster_slope(steps, rows[name].to_numpy(float), cluster, confidence) for name in SCORES}
        datasets[str(dataset)] = {name: slope.as_dict() for name, slope in slopes.items()}
    return datasets
