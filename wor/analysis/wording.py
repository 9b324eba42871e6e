"""What the words of an item and of its continuation tell of the class, without a model."""

import numpy as np

from wor.analysis.evaluation import PARTIAL_GIVEN, Evaluation
from wor.measures.registry import SCORES
from wor.statistics import nulls, partial
from wor.statistics.result import undefined

SHUFFLES = 20  # of a control task: each refits all folds
REPEATS = 5  # over which an item's log-odds are averaged, as a covariate


def analyse_wording(evaluation: Evaluation, texts: dict[str, dict[str, str]]) -> dict[str, dict]:
    """Return each kind of text's AUROC and control task, and partial r given the continuation.

    ``texts`` are by kind (body, continuation) and item ID. A body is the item's own text, without
    the opening and the instruction, which differ between the classes by design. The words' out-of-
    fold log-odds of the class, from the continuation, join the covariates of the partial
    correlation: what is left of a score says more than those words.
    """
    settings, label, seed = evaluation.params.statistics, evaluation.label, evaluation.params.seed
    missing = undefined(evaluation.why_unusable, len(label)).as_dict()
    wording: dict[str, dict] = {kind: {"auroc": missing, "control_task": missing} for kind in texts}
    given = dict.fromkeys(SCORES, missing)
    if evaluation.why_unusable:
        return wording | {"given_continuation": given}
    cluster, weights, confidence = evaluation.cluster, evaluation.weights, settings.confidence
    for kind, by_item in texts.items():
        rows = [by_item[name] for name in evaluation.scored["item_id"]]
        fit = nulls.fit_words(label, rows, cluster, folds=settings.folds, repeats=min(REPEATS, settings.repeats), seed=seed)
        if isinstance(fit, str):
            missing = undefined(fit, len(label)).as_dict()
            wording[kind] = {"auroc": missing, "control_task": missing}
            if kind == "continuation":
                given = dict.fromkeys(SCORES, missing)
            continue
        auroc = nulls.cross_fitted_auroc(fit, label, weights, confidence)
        shuffles = min(SHUFFLES, settings.permutations)
        task = nulls.words_control_task(label, rows, cluster, auroc.value, folds=settings.folds, draws=shuffles, seed=seed)
        wording[kind] = {"auroc": auroc.as_dict(), "control_task": task.as_dict()}
        if kind == "continuation":
            covariates = np.column_stack([evaluation.scored[PARTIAL_GIVEN].to_numpy(float), fit.log_odds.mean(0)])
            given = {name: _partial(evaluation, name, covariates) for name in SCORES}
    return wording | {"given_continuation": given}


def _partial(evaluation: Evaluation, name: str, covariates: np.ndarray) -> dict:
    confidence = evaluation.params.statistics.confidence
    arrays = evaluation.score(name), evaluation.label, covariates, evaluation.weights
    return partial.clustered_partial(*arrays, confidence=confidence).as_dict()
