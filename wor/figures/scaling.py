"""Fig1: what REV tells, against model size."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from wor.figures import style
from wor.figures.panels import placed


def table(results: dict[str, dict]) -> pd.DataFrame:
    """One row a model and quantity: value, low, high, n."""
    rows = []
    for model, result in results.items():
        for quantity, estimate in (
            ("AUROC of REV", result["auroc"]["rev"]["bootstrap"]),
            ("AUROC of the baseline", result["added"]["rev"]["baseline"]),
            ("dAUC", result["added"]["rev"]["delta"]),
        ):
            found = {key: estimate[key] for key in ("value", "low", "high", "n")}
            rows.append({"model": model, "label": result["label"], "n_params": result["n_params"], "quantity": quantity, **found})
    table = pd.DataFrame(rows).sort_values(["quantity", "n_params"], ignore_index=True)
    return placed(table, table["quantity"], "by size")


@style.styled
def draw(points: pd.DataFrame) -> Figure:
    """Two panels over a logarithmic size axis: AUROC, and dAUC; bars are bootstrap intervals."""
    figure, (left, right) = style.canvas(columns=2)
    for axis, wanted in ((left, ("AUROC of REV", "AUROC of the baseline")), (right, ("dAUC",))):
        for shift, quantity, colour, marker in zip((0.97, 1.03), wanted, (style.REASONING, style.NEUTRAL), "os", strict=False):
            rows = points[points["quantity"] == quantity].dropna(subset=["value"])
            axis.errorbar(
                rows["n_params"] * shift,
                rows["value"],
                yerr=[(rows["value"] - rows["low"]).clip(0), (rows["high"] - rows["value"]).clip(0)],  # a bootstrap's may miss it
                fmt=f"{marker}-",
                color=colour,
                capsize=3,
                markersize=5,
                label=quantity,
            )
        axis.set_xscale("log")
        sizes = sorted(points["n_params"].unique())
        axis.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
        axis.set_xticks(sizes, [f"{size / 1e6:.0f}M" for size in sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("Parameters")
    left.axhline(0.5, color=style.NEUTRAL, linewidth=0.8, linestyle=":")
    left.set_ylim(0, 1.02)
    left.set_ylabel("AUROC, reasoning against control")
    left.legend(loc="lower right")
    right.axhline(0, color=style.NEUTRAL, linewidth=0.8, linestyle=":")
    right.set_ylabel("dAUC over the baseline")
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.3g}"))
    n = int(points["n"].max()) if len(points) else 0
    figure.suptitle(f"REV by model size (at most {n} items a model; bars: bootstrap intervals)", fontsize=8)
    return figure
