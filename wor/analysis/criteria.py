"""The study's success criteria: pass, fail, or not evaluable, each with the numbers that decide."""

import math
from collections import Counter

from wor.config.params import Criteria

NOT_EVALUABLE = "not evaluable"


def judge_criteria(models: dict[str, dict], criteria: Criteria, sizes: dict | None = None) -> dict[str, dict]:
    """Return a status and a sentence per criterion: results compared with the thresholds of params.

    ``models`` has per model ``n_params``, the Estimates ``delta_auc`` and ``partial_r`` as dicts,
    and ``temperatures``. That has ``undefined``, the number of missing REV values among ``n``,
    ``excluded``, their number by class and reason, and ``variance``, the Estimate of the variance
    of the mean reasoning REV. ``sizes`` is from `sizes.compare_sizes`; None without joint draws.
    """
    return {
        "no_nan": _no_nan(models),
        "monotone_in_size": _monotone(models, sizes),
        **{f"delta_auc_{size}m": _delta(models, size, minimum) for size, minimum in sorted(criteria.delta_auc.items())},
        "partial_r": _partial(models, criteria),
        "temperature_variance": _variance(models, criteria),
    }


def is_about_size(n_params: int, size: int) -> bool:
    """Return whether a model is within 15 % of a size in millions of parameters."""
    return abs(n_params / 1e6 / size - 1) <= 0.15


def tally_verdicts(verdicts: dict[str, dict]) -> str:
    """Return the number of each status, as one line."""
    statuses = [entry["status"] for entry in verdicts.values()]
    return ", ".join(f"{statuses.count(status)} {status}" for status in ("pass", "fail", NOT_EVALUABLE) if status in statuses)


def _verdict(ok: bool | None, why: str) -> dict:
    """Return a verdict; ``ok`` is None where the criterion cannot be evaluated."""
    return {"status": NOT_EVALUABLE if ok is None else "pass" if ok else "fail", "why": why}


def _numbers(estimate: dict, form: str = "+.3f") -> str:
    """Return a value with its interval. The thresholds were set for the value."""
    interval = "" if math.isnan(estimate["low"]) else f" [{estimate['low']:{form}}, {estimate['high']:{form}}]"
    return f"{estimate['value']:{form}}{interval}"


def _no_nan(models: dict[str, dict]) -> dict:
    missing = sum(model["temperatures"]["undefined"] for model in models.values())
    total = sum(model["temperatures"]["n"] for model in models.values())
    reasons: Counter[str] = Counter()
    for model in models.values():
        reasons.update(model["temperatures"]["excluded"])
    why = f" ({'; '.join(f'{n} {reason}' for reason, n in reasons.items())})" if reasons else ""
    return _verdict(not missing, f"{missing} of {total} REV values over temperatures are undefined{why}")


def _monotone(models: dict[str, dict], sizes: dict | None) -> dict:
    """Return whether dAUC rises at every step from one model to the next larger one.

    Of three sizes that do not differ, 1 of 6 orders rises, so the order of values shows nothing.
    pass : each step's interval is above 0. All of them must be, so none needs a correction
        (intersection-union test, Berger 1982).
    fail : a step falls. Any one would do, so its p is corrected for the number of steps.
    not evaluable : neither. The data do not tell the order.
    """
    if len(models) < 2:
        return _verdict(None, f"{len(models)} model; an order needs two sizes")
    ordered = sorted(models.values(), key=lambda model: model["n_params"])
    values = [model["delta_auc"]["value"] for model in ordered]
    if any(map(math.isnan, values)):
        return _verdict(None, "a model has no dAUC")
    why = f"dAUC by size: {' -> '.join(f'{value:+.3f}' for value in values)}"
    if sizes is None:
        return _verdict(None, f"{why}; there are no draws that the models share, and an order alone may be chance")
    steps, alpha = sizes["steps"], sizes["alpha"]
    for step in steps:
        if math.isnan(step["value"]):
            return _verdict(None, f"{why}; from {step['smaller']} to {step['larger']}: {step['reason']}") | {"steps": steps}
    shown = ", ".join(f"{step['smaller']} to {step['larger']} {_numbers(step)}" for step in steps)
    # Of the two-sided p, the half on the side of a fall.
    falls = [min(1.0, len(steps) * (step["p"] / 2 if step["value"] < 0 else 1 - step["p"] / 2)) for step in steps]
    rises, worst = all(step["low"] > 0 for step in steps), min(falls)
    ok = True if rises else False if worst <= alpha else None
    verdict = {
        True: "it rises at every step, whose intervals are all above 0",
        False: f"it falls at a step (one-sided p {worst:.2g}, corrected for {len(steps)})",
        None: f"undecided: not every interval is above 0, and no step is shown to fall (smallest corrected p {worst:.2g})",
    }[ok]
    return _verdict(ok, f"{why}; steps {shown}: {verdict}") | {"steps": steps}


def _delta(models: dict[str, dict], size: int, minimum: float) -> dict:
    name = next((name for name, model in models.items() if is_about_size(model["n_params"], size)), None)
    if name is None:
        return _verdict(None, f"no model of about {size}M parameters in this run")
    delta = models[name]["delta_auc"]
    if math.isnan(delta["value"]):
        return _verdict(None, f"{name} has no dAUC: {delta['reason']}")
    return _verdict(delta["value"] >= minimum, f"{name}: dAUC {_numbers(delta)}, wanted >= {minimum}")


def _partial(models: dict[str, dict], criteria: Criteria) -> dict:
    estimates = {name: model["partial_r"] for name, model in models.items()}
    for name, partial in estimates.items():
        if math.isnan(partial["value"]):
            return _verdict(None, f"{name} has no partial r: {partial['reason']}")
    ok = all(partial["value"] >= criteria.partial_r and partial["p"] < criteria.partial_p for partial in estimates.values())
    parts = [f"{name}: r {_numbers(partial)}, p {partial['p']:.2g}" for name, partial in estimates.items()]
    return _verdict(ok, f"{'; '.join(parts)}, wanted r >= {criteria.partial_r} with p < {criteria.partial_p}")


def _variance(models: dict[str, dict], criteria: Criteria) -> dict:
    estimates = {name: model["temperatures"]["variance"] for name, model in models.items()}
    for name, variance in estimates.items():
        if math.isnan(variance["value"]):
            return _verdict(None, f"{name}: {variance['reason']}")
    ok = all(variance["value"] <= criteria.temperature_variance for variance in estimates.values())
    parts = [f"{name}: {_numbers(variance, '.3f')} ({variance['n']} items)" for name, variance in estimates.items()]
    why = f"variance of mean reasoning REV over temperatures: {'; '.join(parts)}"
    return _verdict(ok, f"{why}, wanted <= {criteria.temperature_variance}")
