"""The mixed model of each score: what the class adds given covariates, dataset and cluster."""

from wor.analysis.evaluation import FULL_COVARIATES, Evaluation
from wor.measures.registry import SCORES
from wor.statistics.mixed import ClassEffect, class_effect
from wor.statistics.result import undefined


def mixed_models(evaluation: Evaluation) -> dict[str, dict]:
    """Return each score's class effect given the full covariates, with ``icc``: see `class_effect`.

    Within a class, datasets have contrasts of their own where there are several. Calibration is
    taken as known.
    """
    if evaluation.why_unusable:
        missing = ClassEffect(undefined(evaluation.why_unusable, len(evaluation.scored))).as_dict()
        return dict.fromkeys(SCORES, missing)
    covariates, dataset = evaluation.covariates(FULL_COVARIATES), evaluation.scored["dataset"].to_numpy(str)
    arrays = evaluation.label, covariates, dataset, evaluation.cluster
    confidence = evaluation.params.statistics.confidence
    return {name: class_effect(evaluation.score(name), *arrays, confidence).as_dict() for name in SCORES}
