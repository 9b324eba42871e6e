"""prereg.yaml: what was decided beforehand, and how a run stands to it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wor import params as parameters
from wor import paths, storage
from wor.commands import git
from wor.errors import UserError
from wor.measures.registry import COMPONENTS, HEADS, RIVALS, SCORES
from wor.params import Params, Strict

# Which estimate of a model's results a quantity names.
QUANTITIES = {
    "auroc": lambda result, name: result["auroc"][name]["bootstrap"],
    "delta_auc": lambda result, name: result["added"][name]["delta"],
    "partial": lambda result, name: result["partial"][name]["clustered"],
    "rival": lambda result, name: result["rivals"]["difference"][name],
    "trend": lambda result, name: result["dose_response"][name]["trend"]["rev"],
}


# What it may be of; a trend is of a dataset.
NAMES = {"auroc": SCORES, "delta_auc": SCORES, "partial": SCORES, "rival": [*COMPONENTS, *RIVALS, HEADS]}


class Hypothesis(Strict):
    """A quantity that is to lie above or below a number, with its whole interval."""

    claim: str
    quantity: Annotated[str, StringConstraints(pattern=rf"^({'|'.join(QUANTITIES)})\.[a-z0-9_-]+$")]
    above: float | None = None
    below: float | None = None


class Least(Strict):
    reasoning: Annotated[int, Field(ge=0)]
    control: Annotated[int, Field(ge=0)]


class Pilot(Strict):
    models: list[str]
    datasets: list[str]


class Preregistration(Strict):
    registered: datetime.date
    hypotheses: Annotated[dict[str, Hypothesis], Field(min_length=1)]
    decisive: str  # the one that the study stands or falls with; the others are read beside it
    primary: dict
    least: Least
    exclusions: list[str]
    pilot: Pilot


def load(path: Path = paths.PREREGISTRATION) -> Preregistration:
    """Read and check the file. Raises UserError."""
    try:
        found = Preregistration.model_validate(parameters.read(path))
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        remedy = f"{fault['msg']}; or take it back with git checkout {path}"
        raise UserError(f"{path}: {key}", repr(fault["input"]), remedy) from None
    for name, hypothesis in found.hypotheses.items():
        if (hypothesis.above is None) == (hypothesis.below is None):
            raise UserError(f"{path}: hypotheses.{name}", "above and below", "Give exactly one of the two")
        kind, of = hypothesis.quantity.split(".", 1)
        if kind in NAMES and of not in NAMES[kind]:
            remedy = f"{kind} is of one of {', '.join(NAMES[kind])}"
            raise UserError(f"{path}: hypotheses.{name}.quantity", repr(hypothesis.quantity), remedy)
    if found.decisive not in found.hypotheses:
        raise UserError(f"{path}: decisive", repr(found.decisive), f"Name one of {', '.join(found.hypotheses)}")
    return found


def departures(registered: Preregistration, params: Params) -> list[str]:
    """Each parameter of this run that is not at its registered value. UserError for one that does not exist."""
    settings, found = params.model_dump(mode="json"), []

    def walk(wanted: dict, have: object, path: list[str]) -> None:
        known = {str(key): value for key, value in have.items()} if isinstance(have, dict) else {}
        for key, value in wanted.items():
            place = [*path, str(key)]
            if str(key) not in known:
                raise UserError(f"{paths.PREREGISTRATION}: primary.{'.'.join(place)}", repr(value), "params.yaml has no such key")
            if isinstance(value, dict):
                walk(value, known[str(key)], place)
            elif known[str(key)] != value:
                found.append(f"{'.'.join(place)} is {known[str(key)]!r} (registered: {value!r})")

    walk(registered.primary, settings, [])
    return found


def standing(registered: Preregistration, params: Params, label: str, n: dict[str, int], origin: dict) -> dict:
    """Whether a model's results are confirmatory, and if not, why.

    ``label`` as in the model's spec, ``n`` items a class, ``origin`` from `provenance`.
    """
    reasons = departures(registered, params)
    if origin["committed"] is None:
        reasons.append(f"{paths.PREREGISTRATION} is {origin['reason']}")
    for role, least in registered.least.model_dump().items():
        if n[role] < least:
            reasons.append(f"{n[role]} {role} items with a REV (registered: at least {least})")
    seen = sorted(set(params.of_role("reasoning")) & set(registered.pilot.datasets))
    if label in registered.pilot.models and seen:
        reasons.append(f"{label} on {', '.join(seen)} was the pilot, seen before registration")
    return {"kind": "exploratory" if reasons else "confirmatory", "reasons": reasons}


def judge(registered: Preregistration, result: dict) -> dict[str, dict]:
    """Each hypothesis against a model's results: supported, contradicted, undecided or not evaluable, with the numbers."""
    found = {}
    for name, hypothesis in registered.hypotheses.items():
        kind, of = hypothesis.quantity.split(".", 1)
        side, bound = ("above", hypothesis.above) if hypothesis.above is not None else ("below", hypothesis.below)
        status, why = _hold(kind, of, side, bound, result)
        found[name] = {
            "claim": hypothesis.claim,
            "decisive": name == registered.decisive,
            "status": status,
            "why": f"{hypothesis.quantity} {why}",
        }
    return found


Status = Literal["supported", "contradicted", "undecided", "not evaluable"]


def _hold(kind: str, of: str, side: str, bound: float, result: dict) -> tuple[Status, str]:
    try:
        estimate = storage.plain(QUANTITIES[kind](result, of))
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


def provenance(path: Path = paths.PREREGISTRATION) -> dict:
    """The file's hash, and when it was committed: None with a reason where git can't say, or where it was changed since."""
    digest = storage.sha256(path)
    committed = (git("log", "-1", "--format=%cI", "--", str(path)) or "").strip()
    if not committed:
        return {"sha256": digest, "committed": None, "reason": "not in a git commit"}
    if git("status", "--porcelain", "--", str(path)):
        return {"sha256": digest, "committed": None, "reason": f"changed since its commit of {committed}"}
    return {"sha256": digest, "committed": committed}
