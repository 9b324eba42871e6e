"""The verdict on one model, in sentences for a reader who reads no further."""

from wor.analysis.headline import judged_auroc, main_gains
from wor.report.formatting import ROLES, class_attrition, format_estimate, format_needed, measure_label

BASELINE = "the text and the output distribution alone"
REV = "the measure of effort (REV)"
MANY, FEW = 0.1, 0.1  # shares of a class: windows that loop from here on, complete texts up to here
MAX_NAMED = 3  # imbalanced covariates


def verdict_lines(result: dict) -> list[str]:
    """Return the plain verdict on a model, then primary hypothesis, estimates and cautions.

    The gain is over the full baseline. Below the registered number of items there is no verdict.
    """
    registration = result["preregistration"]
    hypotheses = registration["hypotheses"].items()
    auroc, gain = judged_auroc(result, "rev"), main_gains(result)["rev"]
    if any(entry["status"] == "too few items" for _, entry in hypotheses):
        counts = f"{result['n']['reasoning']} reasoning items and {result['n']['control']} controls"
        lines = [f"In {result['label']}, {counts} are too few for a verdict: fewer than registered."]
    else:
        of_gain = (entry for _, entry in hypotheses if entry["decisive"] and entry["why"].startswith("delta_auc.rev "))
        corrected = next((entry.get("p_holm") for entry in of_gain), None)
        adds = _gain(gain, result.get("margin"), result["confidence"], corrected)
        lines = [f"{_separation(result['label'], auroc)} {adds}"]
    lines += [
        f"Primary hypothesis {key} ({entry['claim']}): {entry['status']}. {entry['why']}."
        for key, entry in hypotheses
        if entry["decisive"]
    ]
    lines.append(
        f"AUROC of REV {format_estimate(auroc)}; {_gains(result)}; partial r "
        f"{format_estimate(result['partial']['rev']['clustered'], sign=True)}; {class_attrition(result)} items."
    )
    if "twin" in result:  # of an earlier version
        lines.append(f"Untrained twin: {result['twin']['verdict']}.")
    else:
        lines.append(f"Null models: {result['null_models']['verdict']}.")
    if needed := result.get("needed"):
        lines.append(f"Needed: {needed.get('reason') or format_needed(needed)}.")
    if _side(auroc, 0.5) == "below" and "added_full" not in result:
        lines.append("Mind: dAUC has no sign. It counts a REV that is lower in reasoning as a gain too.")
    lines += quality_lines(result)
    lines.append(": ".join(filter(None, [registration["kind"].capitalize(), "; ".join(registration["reasons"])])) + ".")
    return lines


def short_verdict(result: dict) -> list[str]:
    """Return the verdict, the primary hypothesis and the cautions, for a terminal.

    The table beside them has the estimates. Of why a run is exploratory, the first reason stands.
    """
    verdict, *lines = verdict_lines(result)
    *reasons, last = lines
    kept = [line for line in reasons if line.startswith(("Primary hypothesis", "Mind:"))]
    first, *more = result["preregistration"]["reasons"] or [""]
    if more:
        last = f"{result['preregistration']['kind'].capitalize()}: {first}, and {len(more)} more reasons (wor results --all)."
    return [verdict, *kept, last]


def quality_lines(result: dict) -> list[str]:
    """Return what is wrong with the texts and the classes; nothing for an earlier version."""
    quality = result.get("quality")
    if not quality:
        return []
    lines = []
    groups = [name for name in (*ROLES, "calibration") if quality[name]["n"]]
    if any(quality[name]["repeating"] / quality[name]["n"] > MANY for name in groups):
        lines.append(
            f"Mind: {_counts(quality, 'repeating', groups)} windows loop or copy: over {quality['max_repeat']:.0%} of their "
            "tokens complete a run of four that stood before. They are left out."
        )
    if scarce := [name for name in ROLES if quality[name]["n"] and quality[name]["closed"] / quality[name]["n"] <= FEW]:
        lines.append(
            f"Mind: only {_counts(quality, 'closed', scarce)} texts reach their answer or closing phrase within the tokens that "
            "they may have. The other windows end in the middle of the work."
        )
    if quality["unequal_attrition"]:
        left_out = "; ".join(f"{n} {reason}" for reason, n in result["excluded"].items())
        lines.append(f"Mind: the classes lose different shares of their items, so what is left was selected ({left_out}).")
    imbalanced = {name: entry["smd"] for name, entry in result["balance"].items() if entry.get("imbalanced")}
    if imbalanced:
        largest = sorted(imbalanced, key=lambda name: -abs(imbalanced[name]))
        named = ", ".join(f"{measure_label(name)} {imbalanced[name]:+.2f} sd" for name in largest[:MAX_NAMED])
        more = f" and {len(largest) - MAX_NAMED} more" if len(largest) > MAX_NAMED else ""
        lines.append(f"Mind: the classes are imbalanced in {named}{more}.")
    return lines


def _counts(quality: dict, key: str, groups: list[str]) -> str:
    return ", ".join(f"{quality[name][key]} of {quality[name]['n']} {name}" for name in groups)


def _side(estimate: dict, null: float) -> str:
    """Return where the interval lies: above or below ``null``, open where it covers it."""
    if estimate["value"] is None:
        return "undefined"
    if estimate["low"] is not None and estimate["low"] > null:
        return "above"
    return "below" if estimate["high"] is not None and estimate["high"] < null else "open"


def _separation(label: str, auroc: dict) -> str:
    sentences = {
        "above": f"{REV} is higher on reasoning items than on controls.",
        "below": f"{REV} is lower on reasoning items than on controls, against its preset direction.",
        "open": f"{REV} is not shown to differ between reasoning items and controls.",
        "undefined": f"{REV} cannot compare reasoning items with controls: {auroc['reason']}.",
    }
    return f"In {label}, {sentences[_side(auroc, 0.5)]}"


def _gain(gain: dict, margin: float | None, confidence: float, corrected: float | None) -> str:
    """Say whether the score adds, by the test that decides, or by the interval without one.

    ``corrected`` is the test's p, where it is one of a family.
    """
    delta, test = gain["delta"], gain.get("coefficient")
    if delta["value"] is None:
        return f"Whether it adds to what {BASELINE} tell is unknown: {delta['reason']}."
    if test is None:
        sides = {
            "above": f"It adds to what {BASELINE} tell.",
            "below": f"It makes a prediction from {BASELINE} worse.",
            "open": f"It is not shown to add to what {BASELINE} tell.",
        }
        return sides[_side(delta, 0.0)]
    if test["p"] is None:
        return f"Whether it adds to what {BASELINE} tell is unknown: {test['reason']}."
    level = (1 - confidence) / 2
    if (test["p"] if corrected is None else corrected) <= level:
        return f"It adds to what {BASELINE} tell."
    if 1 - test["p"] <= level:
        return f"Beyond what {BASELINE} tell, it points against its preset direction."
    if gain["equivalence"]["p"] <= level:
        return f"It adds less than {margin:g} in AUROC to what {BASELINE} tell."
    return f"It is not shown to add to what {BASELINE} tell, nor shown to add nothing."


def _gains(result: dict) -> str:
    if "added_full" not in result:
        return f"dAUC over the baseline {format_estimate(result['added']['rev']['delta'], sign=True)}"
    full, registered = (format_estimate(result[part]["rev"]["delta"], sign=True) for part in ("added_full", "added"))
    return f"dAUC over the full baseline {full}, over the registered covariates {registered}"
