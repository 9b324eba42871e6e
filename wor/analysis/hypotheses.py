"""The registered hypotheses against results, and whether a run is the registered one."""

from __future__ import annotations

from typing import Literal

from wor import paths, storage
from wor.config.params import Params
from wor.config.preregistration import Preregistration, deviations
from wor.errors import UserError
from wor.measures.registry import COMPONENTS, HEADS, RIVALS, SCORES

# Which estimate of a model's results a quantity names.
QUANTITIES = {
    "auroc": lambda result, name: result["auroc"][name]["bootstrap"],
    "delta_auc": lambda result, name: result["added"][name]["delta"],
    "partial": lambda result, name: result["partial"][name]["clustered"],
    "rival": lambda result, name: result["rivals"]["difference"][name],
    "trend": lambda result, name: result["dose_response"][name]["trend"]["rev"],
}


# What a quantity may be of; a trend is of a dataset.
NAMES = {"auroc": SCORES, "delta_auc": SCORES, "partial": SCORES, "rival": [*COMPONENTS, *RIVALS, HEADS]}


def require_known_scores(registered: Preregistration) -> None:
    """Raise UserError for a hypothesis about a score that no study has."""
    for name, hypothesis in registered.hypotheses.items():
        kind, score = hypothesis.quantity.split(".", 1)
        if kind in NAMES and score not in NAMES[kind]:
            key = f"{paths.PREREGISTRATION}: hypotheses.{name}.quantity"
            raise UserError(key, repr(hypothesis.quantity), f"{kind} is of one of {', '.join(NAMES[kind])}")


def confirmatory_status(registered: Preregistration, params: Params, label: str, n: dict[str, int], origin: dict) -> dict:
    """Whether a model's results are confirmatory, and if not, why.

    ``label`` as in the model's spec, ``n`` items a class, ``origin`` from `provenance`.
    """
    reasons = deviations(registered, params)
    if origin["committed"] is None:
        reasons.append(f"{paths.PREREGISTRATION} is {origin['reason']}")
    for role, least in registered.min_items.model_dump().items():
        if n[role] < least:
            reasons.append(f"{n[role]} {role} items with a REV (registered: at least {least})")
    seen = sorted(set(params.datasets_with_role("reasoning")) & set(registered.pilot.datasets))
    if label in registered.pilot.models and seen:
        reasons.append(f"{label} on {', '.join(seen)} was the pilot, seen before registration")
    return {"kind": "exploratory" if reasons else "confirmatory", "reasons": reasons}


def judge_hypotheses(registered: Preregistration, result: dict) -> dict[str, dict]:
    """Each hypothesis against a model's results: supported, contradicted, undecided or not evaluable, with the numbers."""
    found = {}
    for name, hypothesis in registered.hypotheses.items():
        kind, of = hypothesis.quantity.split(".", 1)
        side, bound = ("above", hypothesis.above) if hypothesis.above is not None else ("below", hypothesis.below)
        status, why = _judge_one(kind, of, side, bound, result)
        found[name] = {
            "claim": hypothesis.claim,
            "decisive": name == registered.primary_hypothesis,
            "status": status,
            "why": f"{hypothesis.quantity} {why}",
        }
    return found


Status = Literal["supported", "contradicted", "undecided", "not evaluable"]


def _judge_one(kind: str, of: str, side: str, bound: float, result: dict) -> tuple[Status, str]:
    try:
        estimate = storage.to_plain(QUANTITIES[kind](result, of))
    except KeyError:
        return "not evaluable", "is not in this run"
    if estimate["value"] is None:
        return "not evaluable", f"is not there: {estimate['reason']}"
    found = f"{estimate['value']:+.3f}"
    if estimate["low"] is None:
        return "not evaluable", f"{found} has no interval"
    held, broken = estimate["low"] > bound, estimate["high"] < bound
    if side == "below":
        held, broken = broken, held
    status = "supported" if held else "contradicted" if broken else "undecided"
    return status, f"{found} [{estimate['low']:+.3f}, {estimate['high']:+.3f}], predicted {side} {bound:g}"
