"""What other stand-ins do to APL, and other centres to SIB."""

import numpy as np
import pandas as pd

from wor.analysis.evaluation import DRAWS, Evaluation, auroc_by_score, bootstrap_weights, class_labels
from wor.statistics import rivals
from wor.statistics.auc import why_too_few
from wor.statistics.result import undefined


def stand_in_effects(evaluation: Evaluation, table: pd.DataFrame) -> dict[str, dict]:
    """Return what another stand-in does to APL, and another centre to SIB, by name.

    ``table`` is from `measures.stand_ins.stand_in_scores`. Each entry has AUROC and dAUC, and the
    paired difference of AUROC from the study's own choice, which is the first of each.
    """
    rows = evaluation.scored[["item_id", "role", "dataset", "cluster"]].merge(table, on="item_id", how="left")
    return {
        score: _exchanged(evaluation, rows, [name for name in table if name.startswith(f"{score}_")]) for score in ("apl", "sib")
    }


def _exchanged(evaluation: Evaluation, rows: pd.DataFrame, columns: list[str]) -> dict[str, dict]:
    settings, index = evaluation.params.statistics, np.flatnonzero(rows[columns].notna().all(axis=1))
    used = rows.iloc[index].reset_index(drop=True)
    label, scores = class_labels(used), {name: used[name].to_numpy(float) for name in columns}
    if reason := evaluation.why_unusable or why_too_few(label):
        missing = undefined(reason, len(used)).as_dict()
        auroc = delta = difference = dict.fromkeys(columns, missing)
    else:
        weights = bootstrap_weights(used, evaluation.params, DRAWS)
        auroc = auroc_by_score(used, columns, label, weights, evaluation.params)
        baseline = evaluation.fit_baseline(index, weights, settings.repeats)
        baseline.prepare(list(scores.values()), [0] * len(scores))
        delta = {name: baseline.delta(score)[0].as_dict() for name, score in scores.items()}
        own = scores[columns[0]]
        difference = {
            name: rivals.auroc_difference(label, score, own, weights, settings.confidence).as_dict()
            for name, score in scores.items()
        }
    return {
        name.partition("_")[2]: {"auroc": auroc[name], "delta_auc": delta[name]}
        | ({"difference": difference[name]} if name != columns[0] else {})
        for name in columns
    }
