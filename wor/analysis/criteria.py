"""The study's success criteria: pass, fail, or not evaluable, each with the numbers that decide."""

from __future__ import annotations

import itertools
import math

from wor.config.params import Criteria

NOT_EVALUABLE = "not evaluable"


def judge_criteria(models: dict[str, dict], criteria: Criteria) -> dict[str, dict]:
    """Hold results against the thresholds of params.

    Parameters
    ----------
    models : per model ``n_params``, ``delta_auc`` (an Estimate as a dict), ``partial_r`` (likewise),
        ``temperatures`` (``undefined``: REV values over all temperatures that are not there, of ``n``; ``variance``: an
        Estimate as a dict, of the mean REV of reasoning items over temperatures).

    Returns
    -------
    A status and a sentence a criterion.
    """
    return {
        "no_nan": _no_nan(models),
        "monotone_in_size": _monotone(models),
        **{f"delta_auc_{size}m": _delta(models, size, least) for size, least in sorted(criteria.delta_auc.items())},
        "partial_r": _partial(models, criteria),
        "temperature_variance": _variance(models, criteria),
    }


def is_about_size(n_params: int, size: int) -> bool:
    """Whether a model counts for a size in millions: when it is within 15 % of it."""
    return abs(n_params / 1e6 / size - 1) <= 0.15


def tally_verdicts(verdicts: dict[str, dict]) -> str:
    """How many of each, as one line."""
    found = [entry["status"] for entry in verdicts.values()]
    return ", ".join(f"{found.count(status)} {status}" for status in ("pass", "fail", NOT_EVALUABLE) if status in found)


def _verdict(ok: bool, why: str) -> dict:
    return {"status": "pass" if ok else "fail", "why": why}


def _numbers(estimate: dict, form: str = "+.3f") -> str:
    """A value with its interval. A criterion is decided by the value: thresholds were set for it."""
    interval = "" if math.isnan(estimate["low"]) else f" [{estimate['low']:{form}}, {estimate['high']:{form}}]"
    return f"{estimate['value']:{form}}{interval}"


def _no_nan(models: dict[str, dict]) -> dict:
    missing = {name: model["temperatures"]["undefined"] for name, model in models.items()}
    total = sum(model["temperatures"]["n"] for model in models.values())
    return _verdict(not any(missing.values()), f"{sum(missing.values())} of {total} REV values over temperatures are undefined")


def _monotone(models: dict[str, dict]) -> dict:
    if len(models) < 2:
        return {"status": NOT_EVALUABLE, "why": f"{len(models)} model; an order needs two sizes"}
    ordered = sorted(models.values(), key=lambda model: model["n_params"])
    values = [model["delta_auc"]["value"] for model in ordered]
    if any(map(math.isnan, values)):
        return {"status": NOT_EVALUABLE, "why": "a model has no dAUC"}
    shown = " -> ".join(f"{value:+.3f}" for value in values)
    return _verdict(all(a <= b for a, b in itertools.pairwise(values)), f"dAUC by size: {shown}")


def _delta(models: dict[str, dict], size: int, least: float) -> dict:
    near = {name: model for name, model in models.items() if is_about_size(model["n_params"], size)}
    if not near:
        return {"status": NOT_EVALUABLE, "why": f"no model of about {size}M parameters in this run"}
    name, model = next(iter(near.items()))
    delta = model["delta_auc"]
    if math.isnan(delta["value"]):
        return {"status": NOT_EVALUABLE, "why": f"{name} has no dAUC: {delta['reason']}"}
    found = f"{name}: dAUC {_numbers(delta)}, wanted >= {least}"
    return _verdict(delta["value"] >= least, found)


def _partial(models: dict[str, dict], criteria: Criteria) -> dict:
    parts, ok = [], True
    for name, model in models.items():
        partial = model["partial_r"]
        if math.isnan(partial["value"]):
            return {"status": NOT_EVALUABLE, "why": f"{name} has no partial r: {partial['reason']}"}
        ok &= partial["value"] >= criteria.partial_r and partial["p"] < criteria.partial_p
        parts.append(f"{name}: r {_numbers(partial)}, p {partial['p']:.2g}")
    return _verdict(ok, f"{'; '.join(parts)}, wanted r >= {criteria.partial_r} with p < {criteria.partial_p}")


def _variance(models: dict[str, dict], criteria: Criteria) -> dict:
    parts, ok = [], True
    for name, model in models.items():
        variance = model["temperatures"]["variance"]
        if math.isnan(variance["value"]):
            return {"status": NOT_EVALUABLE, "why": f"{name}: {variance['reason']}"}
        ok &= variance["value"] <= criteria.temperature_variance
        parts.append(f"{name}: {_numbers(variance, '.3f')} ({variance['n']} items)")
    found = f"variance of mean reasoning REV over temperatures: {'; '.join(parts)}"
    return _verdict(ok, f"{found}, wanted <= {criteria.temperature_variance}")
