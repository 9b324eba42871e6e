"""The verdict on one model, in sentences for a reader who reads no further."""

from wor.analysis.headline import judged_auroc
from wor.report.formatting import format_estimate

BASELINE = "prompt length, answer length, log-probability and perplexity"
REV = "the measure of effort (REV)"


def verdict_lines(result: dict) -> list[str]:
    """Return the plain verdict on a model, then primary hypothesis, estimates and cautions."""
    registration = result["preregistration"]
    hypotheses = registration["hypotheses"].items()
    auroc = judged_auroc(result, "rev")
    lines = [f"{_separation(result['label'], auroc)} {_gain(result['added']['rev']['delta'])}"]
    lines += [
        f"Primary hypothesis {key} ({entry['claim']}): {entry['status']}. {entry['why']}."
        for key, entry in hypotheses
        if entry["decisive"]
    ]
    lines.append(
        f"AUROC of REV {format_estimate(auroc)}; dAUC over the baseline "
        f"{format_estimate(result['added']['rev']['delta'], sign=True)}; partial r "
        f"{format_estimate(result['partial']['rev']['clustered'], sign=True)}; {result['n']['used']} items."
    )
    lines.append(f"Untrained twin: {result['twin']['verdict']}.")
    if _side(auroc, 0.5) == "below":
        lines.append("Mind: dAUC has no sign. It counts a REV that is lower in reasoning as a gain too.")
    lines.append(": ".join(filter(None, [registration["kind"].capitalize(), "; ".join(registration["reasons"])])) + ".")
    return lines


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


def _gain(delta: dict) -> str:
    sentences = {
        "above": f"It adds to what {BASELINE} tell.",
        "below": f"It makes a prediction from {BASELINE} worse.",
        "open": f"It is not shown to add to what {BASELINE} tell.",
        "undefined": f"Whether it adds to what {BASELINE} tell is unknown: {delta['reason']}.",
    }
    return sentences[_side(delta, 0.0)]
