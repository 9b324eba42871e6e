"""The registered hypotheses compared with results, and whether a run is the registered one."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Literal

from wor import paths
from wor.analysis.headline import judged_auroc, main_gains
from wor.config.params import Params
from wor.config.preregistration import Hypothesis, Preregistration, deviations
from wor.errors import UserError
from wor.measures.registry import COMPARED, COMPONENTS, GOLD, HEADS, MATCHED, RIVALS, SCORES
from wor.statistics.multiple_testing import holm


def _derive_copy(part: dict, name: str) -> dict:
    key = next((key for key in ("equal_entropy", "matched") if name.endswith(f"_{key}")), "difference")
    return part[key][name.removesuffix(f"_{key}")]


def _alone(find: Callable[[dict, str], dict], null: float) -> tuple:
    """Return the entry of an estimate whose own interval, or p, decides."""
    return lambda result, name: {"it": find(result, name)}, "it", "it", null


# Which estimate of a model's results a quantity refers to, which one's p decides, and its null.
QUANTITIES = {
    "auroc": _alone(judged_auroc, 0.5),
    "delta_auc": (lambda result, name: main_gains(result)[name], "delta", "coefficient", 0.0),
    "partial": _alone(lambda result, name: result["partial"][name]["clustered"], 0.0),
    "rival": _alone(lambda result, name: result["rivals"]["difference"][name], 0.0),
    "derive_copy": _alone(lambda result, name: _derive_copy(result["designs"]["derive_copy"]["own"], name), 0.0),
    "gold": _alone(lambda result, name: result["designs"]["gold"]["auroc"][name], 0.5),
    "dose": _alone(lambda result, name: result["designs"]["dose"][name]["rev"], 0.0),
    "trend": _alone(lambda result, name: result["dose_response"][name]["trend"]["rev"], 0.0),
}
# The scores that a quantity may be of. A trend and a dose are of a dataset.
NAMES = {
    "auroc": SCORES,
    "delta_auc": SCORES,
    "partial": SCORES,
    "rival": [*COMPONENTS, *RIVALS, HEADS],
    "derive_copy": [*COMPARED, *(f"{name}_equal_entropy" for name in COMPARED), *(f"{name}_matched" for name in MATCHED)],
    "gold": list(GOLD),
}
ONE_SIDED = ("coefficient",)  # estimates whose p is one-sided already

Status = Literal["supported", "contradicted", "absent", "undecided", "not tested", "too few items", "not evaluable"]


def require_known_scores(registered: Preregistration) -> None:
    """Raise UserError for a hypothesis about a score that no study has."""
    for name, hypothesis in registered.hypotheses.items():
        kind, score = hypothesis.quantity.split(".", 1)
        if kind in NAMES and score not in NAMES[kind]:
            key = f"{paths.PREREGISTRATION}: hypotheses.{name}.quantity"
            raise UserError(key, repr(hypothesis.quantity), f"{kind} is of one of {', '.join(NAMES[kind])}")


def confirmatory_status(registered: Preregistration, params: Params, result: dict, origin: dict) -> dict:
    """Return whether a model's results are confirmatory, and if not, why.

    ``result`` has the model's ``label``, the counts ``n`` of items with a REV, and ``excluded``,
    the counts of those without. ``origin`` is from `environment.committed_state`.
    """
    label, n = result["label"], result["n"]
    reasons = deviations(registered, params)
    if origin["committed"] is None:
        reasons.append(f"{paths.PREREGISTRATION} is {origin['reason']}")
    reasons += too_few_items(registered, n)
    if registered.n:
        drawn = drawn_items(n, result.get("excluded", {}))
        sizes = [_look_size(registered, look) for look in range(1, registered.looks.number + 1)]
        if drawn not in sizes:
            planned = " or ".join(f"{size['reasoning']} + {size['control']}" for size in sizes)
            reasons.append(f"{drawn['reasoning']} reasoning + {drawn['control']} control items (registered: {planned})")
    if registered.models and label not in registered.models.names:
        reasons.append(f"{label} is not one of the registered models ({', '.join(registered.models.names)})")
    pilot = sorted(set(params.datasets_with_role("reasoning")) & set(registered.pilot.datasets))
    if label in registered.pilot.models and pilot:
        reasons.append(f"{label} on {', '.join(pilot)} was the pilot, seen before registration")
    return {"kind": "exploratory" if reasons else "confirmatory", "reasons": reasons}


def too_few_items(registered: Preregistration, n: dict[str, int]) -> list[str]:
    """Return why a class has fewer items than registered; empty where neither has."""
    least = registered.min_items.model_dump()
    counts = {role: n[role] for role in least}
    return [
        f"{counts[role]} {role} items with a REV (registered: at least {least[role]})"
        for role in least
        if counts[role] < least[role]
    ]


def drawn_items(n: dict[str, int], excluded: dict[str, int]) -> dict[str, int]:
    """Return each class's number of evaluation items, with those that have no REV."""
    return {
        role: n[role] + sum(count for why, count in excluded.items() if why.startswith(f"{role}: "))
        for role in ("reasoning", "control")
    }


def _look_size(registered: Preregistration, look: int) -> dict[str, int]:
    assert registered.n is not None
    return {role: math.ceil(n * look / registered.looks.number) for role, n in registered.n}


def level_of_look(registered: Preregistration, drawn: dict[str, int]) -> float:
    """Return the one-sided level at the look that so many items allow."""
    looks = registered.looks
    if looks.number == 1 or registered.n is None:
        return registered.alpha
    from wor.statistics.sequential import look_levels  # scipy

    reached = [
        look
        for look in range(1, looks.number + 1)
        if all(drawn[role] >= size for role, size in _look_size(registered, look).items())
    ]
    return look_levels(looks.number, registered.alpha, looks.spending)[max(reached, default=1) - 1]


def judge_hypotheses(registered: Preregistration, result: dict, primary_p: float | None = None) -> dict[str, dict]:
    """Return for each hypothesis its status given a model's results, with the numbers.

    Tests are one-sided in the registered direction, with the registered correction over them; see
    `preregistration.Correction`. ``primary_p`` replaces the primary's p, where it is corrected for
    several models.

    supported : p is at most the level.
    contradicted : so is the p of the other direction.
    absent : two one-sided tests place the effect within the registered margin.
    undecided : none of these. The data tell too little.
    not tested : in a fixed sequence, the primary hypothesis is not supported.
    too few items : a class has fewer than registered.
    not evaluable : there is no estimate.
    """
    primary = registered.primary_hypothesis
    level = level_of_look(registered, drawn_items(result["n"], result.get("excluded", {}))) if "n" in result else registered.alpha
    few = too_few_items(registered, result["n"]) if "n" in result else []
    evidence = {name: _weigh(hypothesis, result) for name, hypothesis in registered.hypotheses.items()}
    if primary_p is not None and not evidence[primary]["missing"]:
        evidence[primary]["p"] = primary_p
    in_sequence = registered.correction == "fixed-sequence"
    family = [name for name in evidence if not (evidence[name]["missing"] or (in_sequence and name == primary))]
    adjusted, opposite = (holm({name: evidence[name][key] for name in family}) for key in ("p", "reverse"))
    for name in family:
        evidence[name] |= {"p_holm": adjusted[name], "reverse": opposite[name]}
    statuses: dict[str, Status] = {primary: _status(evidence[primary], level, few)}
    is_open = not in_sequence or statuses[primary] == "supported"
    for name in evidence:
        if name != primary:
            statuses[name] = _status(evidence[name], level, few, is_open)
    return {
        name: {
            "claim": hypothesis.claim,
            **({"estimand": hypothesis.estimand} if hypothesis.estimand else {}),
            "decisive": name == primary,
            "status": statuses[name],
            "why": f"{hypothesis.quantity} {evidence[name]['why']}{_remark(statuses[name], evidence[name], primary, few)}",
            **{key: evidence[name][key] for key in ("p", "p_holm", "p_absent") if key in evidence[name]},
            "level": level,
        }
        for name, hypothesis in registered.hypotheses.items()
    }


def judge_models(registered: Preregistration, results: dict[str, dict]) -> dict:
    """Return each model's judgements, and the ``study``'s verdict on the primary hypothesis.

    ``results`` are by model. With the rule "holm" the primary's p is corrected over the models.
    Without a registered rule each model is judged by itself, and there is no verdict over several.
    """
    primary = registered.primary_hypothesis
    rule = registered.models.rule if registered.models else None
    corrected: dict[str, float | None] = dict.fromkeys(results)
    if rule == "holm":
        evidence = {model: _weigh(registered.hypotheses[primary], result) for model, result in results.items()}
        corrected = dict(holm({model: entry.get("p", math.nan) for model, entry in evidence.items()}))
    judged = {model: judge_hypotheses(registered, result, corrected[model]) for model, result in results.items()}
    statuses = {results[model]["label"]: entries[primary]["status"] for model, entries in judged.items()}
    study: dict = {"rule": rule or "each", "primary": primary}
    if registered.models and rule:
        missing = [name for name in registered.models.names if name not in statuses]
        counted = [statuses[name] for name in registered.models.names if name in statuses]
        supported = "supported" in counted if rule == "holm" else not missing and set(counted) == {"supported"}
        wanted = "in one of the models" if rule == "holm" else "in every model"
        parts = [f"{name}: {statuses.get(name, 'not in this run')}" for name in registered.models.names]
        study |= {"status": "supported" if supported else "not supported", "why": f"{', '.join(parts)}; wanted {wanted}"}
    return {"hypotheses": judged, "study": study}


def _weigh(hypothesis: Hypothesis, result: dict) -> dict:
    """Return a hypothesis' one-sided p, that of the reverse, that of absence, and the numbers."""
    kind, name = hypothesis.quantity.split(".", 1)
    parts, shown, decides, null = QUANTITIES[kind]
    try:
        estimates = parts(result, name)
        estimate, test = estimates[shown], estimates.get(decides, {})
    except KeyError:
        trends = ", ".join(result["dose_response"]) if kind == "trend" else ""
        return {"missing": True, "why": "is not in this run" + (f", which has the trend of {trends}" if trends else "")}
    # NaN from the analysis, None from a file of results.
    value, low, high = (_number(estimate[key]) for key in ("value", "low", "high"))
    if value is None:
        return {"missing": True, "why": f"is undefined: {estimate['reason']}"}
    if low is None or high is None:
        return {"missing": True, "why": f"{value:+.3f} has no interval"}
    if test.get("reason"):
        return {"missing": True, "why": f"{value:+.3f} has no test: {test['reason']}"}
    threshold, sign = (hypothesis.above, 1) if hypothesis.above is not None else (hypothesis.below or 0.0, -1)
    quantile, tail = _reference(result)
    error = (high - low) / 2 / quantile
    p = _number(test.get("p")) if threshold == null else None
    if p is None:
        p = tail(sign * (value - threshold) / error) if error > 0 else 0.0 if sign * (value - threshold) > 0 else 1.0
    elif decides not in ONE_SIDED or sign < 0:
        is_predicted = sign * (value - threshold) > 0
        two_sided = p if decides not in ONE_SIDED else 2 * min(p, 1 - p)
        p = two_sided / 2 if is_predicted else 1 - two_sided / 2
    weighed: dict[str, Any] = {"missing": False, "p": float(p), "reverse": float(1 - p)}
    if hypothesis.margin is not None:
        distance = hypothesis.margin - abs(value - threshold)
        weighed["p_absent"] = float(tail(distance / error)) if error > 0 else float(distance <= 0)
        if threshold == null and hypothesis.margin == result.get("margin") and "equivalence" in estimates:
            p_absent = _number(estimates["equivalence"]["p"])
            weighed["p_absent"] = 1.0 if p_absent is None else p_absent
    prediction = f"below {threshold:g}" if sign < 0 else f"above {threshold:g}"
    weighed["why"] = f"{value:+.3f} [{low:+.3f}, {high:+.3f}], predicted {prediction}; one-sided p {p:.2g}"
    return weighed


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _reference(result: dict) -> tuple[float, Callable[[float], float]]:
    """Return the quantile that a result's intervals are made with, and the upper tail that fits."""
    confidence = result.get("confidence", 0.95)
    counts = result.get("detectable", {}).get("auroc", {}).get("clusters")
    if not counts or min(counts) < 2:
        normal = NormalDist()
        return normal.inv_cdf((1 + confidence) / 2), lambda ratio: 1 - normal.cdf(ratio)
    from wor.statistics.clusters import Clusters  # scipy, which a shell's completion doesn't need

    clusters = Clusters(tuple(counts))
    return clusters.quantile(confidence), clusters.tail


def _status(evidence: dict, level: float, few: list[str], is_open: bool = True) -> Status:
    if evidence["missing"]:
        return "not evaluable"
    if few:
        return "too few items"
    if not is_open:
        return "not tested"
    if evidence.get("p_holm", evidence["p"]) <= level:
        return "supported"
    if evidence["reverse"] <= level:
        return "contradicted"
    return "absent" if evidence.get("p_absent", 1.0) <= level else "undecided"


def _remark(status: Status, evidence: dict, primary: str, few: list[str]) -> str:
    if status == "too few items":
        return f"; {', '.join(few)}"
    if status == "not tested":
        return f"; {primary} comes first and is not supported"
    return f", after Holm {evidence['p_holm']:.2g}" if "p_holm" in evidence else ""
