"""Fig3: what is lost when heads are removed."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from wor.figures import style
from wor.figures.panels import placed


def table(results: dict[str, dict]) -> pd.DataFrame:
    """One row a model, role, kind of removal and share of heads."""
    rows = [
        {"model": model, "label": result["label"], **{key: value for key, value in entry.items() if key not in ("p", "reason")}}
        for model, result in results.items()
        for entry in result["heads"]
    ]
    table = pd.DataFrame(rows)
    return placed(table, table["label"] + ", " + table["role"], table["kind"])


@style.styled
def draw(points: pd.DataFrame) -> Figure:
    """A panel a model and role: ranked heads against random ones matched by layer, with bands."""
    labels = list(dict.fromkeys(points["label"]))
    figure, axes = style.canvas(columns=2, rows=len(labels))
    for index, label in enumerate(labels):
        for axis, role, what in zip(
            axes[2 * index : 2 * index + 2], ("reasoning", "control"), ("gold solutions", "control text"), strict=True
        ):
            rows = points[(points["label"] == label) & (points["role"] == role)].sort_values("share")
            start = rows[(rows["share"] == 0)].assign(kind="random")
            for kind, line, colour in (("ranked", "o-", style.ROLE[role]), ("random", "s--", style.NEUTRAL)):
                if kind not in set(rows["kind"]):  # a share so small that no head was removed
                    continue
                drawn = pd.concat([start, rows])[lambda frame, kind=kind: frame["kind"] == kind].sort_values("share")
                axis.plot(drawn["share"] * 100, drawn["value"], line, color=colour, markersize=4, label=_legend(kind, drawn))
                axis.fill_between(drawn["share"] * 100, drawn["low"], drawn["high"], color=colour, alpha=0.2, linewidth=0)
            n = int(rows["n"].max()) if len(rows) else 0
            axis.set_title(f"{label}: {what} (n = {n})", loc="left")
            axis.set_xlabel("Heads removed (%)")
            axis.set_ylabel("Token accuracy, teacher-forced")
            axis.set_ylim(bottom=0)
            axis.legend(loc="lower left")
    return figure


def _legend(kind: str, rows: pd.DataFrame) -> str:
    if kind == "ranked":
        return "ranked by effect"
    return f"random, same layers ({int(rows['draws'].max())} draws)"
