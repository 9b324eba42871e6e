"""The registered hypotheses compared with results, and whether a run is the registered one."""

from typing import Literal

from wor import paths
from wor.analysis.designs import COMPARED, GOLD, MATCHED
from wor.config.params import Params
from wor.config.preregistration import Hypothesis, Preregistration, deviations
from wor.errors import UserError
from wor.measures.registry import COMPONENTS, HEADS, RIVALS, SCORES


def _derive_copy(part: dict, name: str) -> dict:
    key = next((key for key in ("equal_entropy", "matched") if name.endswith(f"_{key}")), "difference")
    return part[key][name.removesuffix(f"_{key}")]


# Which estimate of a model's results a quantity refers to.
QUANTITIES = {
    "auroc": lambda result, name: result["auroc"][name]["bootstrap"],
    "delta_auc": lambda result, name: result["added"][name]["delta"],
    "partial": lambda result, name: result["partial"][name]["clustered"],
    "rival": lambda result, name: result["rivals"]["difference"][name],
    "derive_copy": lambda result, name: _derive_copy(result["designs"]["derive_copy"]["own"], name),
    "gold": lambda result, name: result["designs"]["gold"]["auroc"][name],
    "dose": lambda result, name: result["designs"]["dose"][name]["rev"],
    "trend": lambda result, name: result["dose_response"][name]["trend"]["rev"],
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


def require_known_scores(registered: Preregistration) -> None:
    """Raise UserError for a hypothesis about a score that no study has."""
    for name, hypothesis in registered.hypotheses.items():
        kind, score = hypothesis.quantity.split(".", 1)
        if kind in NAMES and score not in NAMES[kind]:
            key = f"{paths.PREREGISTRATION}: hypotheses.{name}.quantity"
            raise UserError(key, repr(hypothesis.quantity), f"{kind} is of one of {', '.join(NAMES[kind])}")


def confirmatory_status(registered: Preregistration, params: Params, label: str, n: dict[str, int], origin: dict) -> dict:
    """Return whether a model's results are confirmatory, and if not, why.

    ``label`` is the one in the model's spec, ``n`` counts the items of each class, ``origin`` is
    from `environment.committed_state`.
    """
    reasons = deviations(registered, params)
    if origin["committed"] is None:
        reasons.append(f"{paths.PREREGISTRATION} is {origin['reason']}")
    for role, minimum in registered.min_items.model_dump().items():
        if n[role] < minimum:
            reasons.append(f"{n[role]} {role} items with a REV (registered: at least {minimum})")
    pilot = sorted(set(params.datasets_with_role("reasoning")) & set(registered.pilot.datasets))
    if label in registered.pilot.models and pilot:
        reasons.append(f"{label} on {', '.join(pilot)} was the pilot, seen before registration")
    return {"kind": "exploratory" if reasons else "confirmatory", "reasons": reasons}


def judge_hypotheses(registered: Preregistration, result: dict) -> dict[str, dict]:
    """Return for each hypothesis its status given a model's results, with the numbers."""
    judgements = {}
    for name, hypothesis in registered.hypotheses.items():
        status, why = _judge(hypothesis, result)
        judgements[name] = {
            "claim": hypothesis.claim,
            "decisive": name == registered.primary_hypothesis,
            "status": status,
            "why": f"{hypothesis.quantity} {why}",
        }
    return judgements


Status = Literal["supported", "contradicted", "undecided", "not evaluable"]


def _judge(hypothesis: Hypothesis, result: dict) -> tuple[Status, str]:
    kind, name = hypothesis.quantity.split(".", 1)
    try:
        estimate = QUANTITIES[kind](result, name)
    except KeyError:
        trends = ", ".join(result["dose_response"]) if kind == "trend" else ""
        return "not evaluable", "is not in this run" + (f", which has the trend of {trends}" if trends else "")
    # NaN from the analysis, None from a file of results.
    value, low, high = (estimate[key] if estimate[key] == estimate[key] else None for key in ("value", "low", "high"))
    if value is None:
        return "not evaluable", f"is undefined: {estimate['reason']}"
    if low is None or high is None:
        return "not evaluable", f"{value:+.3f} has no interval"
    above, below = hypothesis.above, hypothesis.below
    supported = (above is not None and low > above) or (below is not None and high < below)
    contradicted = (above is not None and high < above) or (below is not None and low > below)
    status: Status = "supported" if supported else "contradicted" if contradicted else "undecided"
    prediction = f"below {below:g}" if above is None else f"above {above:g}"
    return status, f"{value:+.3f} [{low:+.3f}, {high:+.3f}], predicted {prediction}"
