"""Fig2: does REV hold over sampling temperatures?"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from wor.figures import style
from wor.figures.panels import placed


def table(results: dict[str, dict]) -> pd.DataFrame:
    """One row a model, temperature and series (reasoning, control, auroc)."""
    rows = []
    for model, result in results.items():
        for entry in result["temperatures"]["by_temperature"]:
            for series in ("reasoning", "control", "auroc"):
                found = {key: entry[series][key] for key in ("value", "low", "high", "n", "reason")}
                rows.append(
                    {"model": model, "label": result["label"], "temperature": entry["temperature"], "series": series, **found}
                )
    table = pd.DataFrame(rows)
    panel = table["series"].map({"auroc": "AUROC of REV"}).fillna("mean REV")
    return placed(table, table["label"] + ", " + panel, table["series"])


@style.styled
def draw(points: pd.DataFrame) -> Figure:
    """Two panels a model: mean REV by class, and AUROC, each with its band."""
    labels = list(dict.fromkeys(points["label"]))
    figure, axes = style.canvas(columns=2, rows=len(labels))
    for index, label in enumerate(labels):
        left, right = axes[2 * index : 2 * index + 2]
        of_model = points[points["label"] == label]
        for axis, wanted in ((left, ("reasoning", "control")), (right, ("auroc",))):
            for series in wanted:
                rows = of_model[of_model["series"] == series].sort_values("temperature")
                colour = style.ROLE.get(series, style.ACCENT)
                n = int(rows["n"].min()) if len(rows) else 0
                axis.plot(rows["temperature"], rows["value"], "o-", color=colour, markersize=4, label=f"{series} (n = {n})")
                axis.fill_between(rows["temperature"], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
            axis.set_xlabel("Sampling temperature")
        left.set_ylabel("Mean REV (calibration sd)")
        left.set_title(label, loc="left")
        left.legend()
        right.axhline(0.5, color=style.NEUTRAL, linewidth=0.8, linestyle=":")
        right.set_ylim(0, 1.02)
        right.set_ylabel("AUROC of REV")
        missing = of_model[(of_model["series"] == "auroc") & of_model["value"].isna()]
        if len(missing):
            style.explain(right, missing["reason"].iloc[0])
        right.set_xlim(left.get_xlim())
    return figure
