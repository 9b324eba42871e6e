"""Fig1: AUROC and dAUC of REV by model size."""

import textwrap
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from wor.analysis import criteria
from wor.analysis.headline import judged_auroc, main_gains
from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption
from wor.figures.panels import estimate_columns, missing_values, with_panels

REV, BASELINE, DELTA = "AUROC of REV", "AUROC of the baseline", "dAUC"


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """Return one row per model and quantity; ``wanted`` is the criteria's minimum for its size."""
    rows = []
    for model, result in results.items():
        size = result["n_params"]
        about = {"model": model, "label": result["label"], "n_params": size}
        about |= {f"n_{role}": result["n"][role] for role in style.ROLE}
        minima = [value for of_size, value in params.criteria.delta_auc.items() if criteria.is_about_size(size, of_size)]
        refits = f"t with {params.statistics.refit_draws} refits"
        added, interval = main_gains(result)["rev"], refits if "added_full" in result else "percentile"
        for quantity, estimate, method in (
            (REV, judged_auroc(result, "rev"), "joint with calibration" if "joint" in result["auroc"]["rev"] else "BCa"),
            (BASELINE, added["baseline"], interval),
            (DELTA, added["delta"], interval),
        ):
            minimum = minima[0] if minima and quantity == DELTA else np.nan
            rows.append({**about, "quantity": quantity, **estimate_columns(estimate, method), "wanted": minimum})
    points = pd.DataFrame(rows).sort_values(["quantity", "n_params"], ignore_index=True, kind="stable")
    return with_panels(points, points["quantity"], "by size")


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """Draw AUROC above dAUC on a logarithmic size axis. Each model has a colour and a marker."""
    models = points.drop_duplicates("model").sort_values("n_params", kind="stable")
    spread = np.log10(models["n_params"].max() / models["n_params"].min()) or 1.0
    gap = 0.13 * spread
    log_size = dict(zip(models["model"], _spread_out(np.log10(models["n_params"].to_numpy(float)), gap), strict=True))
    figure, axes = style.canvas(2, 1, height=3.2 + 0.13 * len(models), sharex=True)
    above, below = axes.flat
    for axis, quantities, null in ((above, (REV, BASELINE), 0.5), (below, (DELTA,), 0)):
        rows = points[points["quantity"].isin(quantities)]
        for (model, colour, marker), quantity in product(_model_styles(models), quantities):
            row = rows[(rows["model"] == model) & (rows["quantity"] == quantity)].iloc[0]
            x = 10 ** (log_size[model] + gap * {REV: -0.18, BASELINE: 0.18}.get(quantity, 0))
            face = "white" if quantity == BASELINE else colour
            axis.plot(x, row["value"], marker, color=colour, markerfacecolor=face, markersize=4.5, zorder=3)
            axis.vlines(x, row["low"], row["high"], color=colour, linewidth=1)
            axis.plot(x, row["wanted"], "_", color="black", markersize=18, markeredgewidth=1)
        missing = missing_values(rows, rows["label"] + (", " + rows["quantity"] if len(quantities) > 1 else ""))
        if rows["value"].isna().all():
            style.write_reasons(axis, rows["reason"].unique())
        else:
            style.set_heading(axis, style.missing_line(missing))
            axis.axhline(null, color=style.NEUTRAL, linewidth=0.8, linestyle=":", zorder=0)
    above.set_ylabel("AUROC")
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.3g}" if round(value, 9) else "0"))
    below.set(xlabel="Parameters", ylabel="dAUC")
    _size_axis(below, models["n_params"].unique(), min(log_size.values()) - 0.2 * spread, max(log_size.values()) + 0.2 * spread)
    style.hide_empty_scales(axes)
    figure.align_ylabels()
    _legends(figure, models, points["wanted"].notna().any())
    return figure


def describe(points: pd.DataFrame, params: Params) -> dict:
    """Return the caption and its numbers."""
    models = points.drop_duplicates("model").sort_values("n_params", kind="stable")
    minima = [f"{row.label} {row.wanted:g}" for row in points.dropna(subset=["wanted"]).itertuples()]
    items = [f"{row.label} ({row.n_params:,} parameters) {row.n_reasoning} + {row.n_control}" for row in models.itertuples()]
    sentences = [
        "Above: AUROC, reasoning against control items, of REV (filled) and of the baseline of covariates alone (open); dotted: "
        "chance. Below: dAUC, what REV adds to the baseline's AUROC out of sample; dotted: nothing.",
        f"Dashes: the minimum dAUC of the criteria for such a size ({', '.join(minima)})." if minima else "",
        "Models of about one size are drawn next to each other." if len(models) > 1 else "",
        f"Sampling temperature {params.temperature:g}. Items with a REV, reasoning + control: {'; '.join(items)}.",
    ]
    rows = points.rename(columns={"n_params": "x", "quantity": "series"})
    return caption("REV by model size", sentences, rows, rows["series"], "parameters", "whole clusters", params)


def size_name(parameters: float) -> str:
    """Return a number of parameters as ``135M`` or ``1.7B``."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.2g}{name}" if parameters < 9.95 * unit else f"{parameters / unit:.0f}{name}"
    return f"{parameters:.0f}"


def _spread_out(positions: np.ndarray, gap: float) -> np.ndarray:
    """Return the positions nearest to ascending ``positions`` that are at least ``gap`` apart."""
    steps = gap * np.arange(len(positions))
    return isotonic_regression(positions - steps).x + steps


def _model_styles(models: pd.DataFrame) -> list[tuple[str, str, str]]:
    return [(model, *style.MODELS[index % len(style.MODELS)]) for index, model in enumerate(models["model"])]


def _size_axis(axis: Axes, sizes: np.ndarray, low: float, high: float) -> None:
    """Set one tick per size. A name that would overlap its neighbour goes one line lower."""
    axis.set_xscale("log")
    axis.set_xlim(10**low, 10**high)
    names, last = list[str](), list[float]()  # last: position of the latest name in each line
    for size in np.sort(sizes):
        name, position = size_name(size), (np.log10(size) - low) / (high - low)
        if names and names[-1].strip() == name:
            names.append("")
            continue
        line = next((line for line, taken in enumerate(last) if position - taken > 0.14), len(last))
        last[line : line + 1] = [position]
        names.append("\n" * line + name)
    axis.set_xticks(np.sort(sizes), names)
    axis.xaxis.set_minor_locator(NullLocator())


def _legends(figure: Figure, models: pd.DataFrame, with_criterion: bool) -> None:
    def handle(marker: str, colour: str, label: str, **properties: Any) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, **{"markersize": 4.5, **properties})

    counts = [f"(n = {row.n_reasoning} + {row.n_control})".replace(" ", "\u00a0") for row in models.itertuples()]
    labels = [textwrap.fill(f"{label} {n}", 50) for label, n in zip(models["label"], counts, strict=True)]
    entries = [handle(marker, colour, label) for (_, colour, marker), label in zip(_model_styles(models), labels, strict=True)]
    figure.legend(handles=entries, loc="outside upper left", handletextpad=0.2, borderaxespad=0.2)
    entries = [
        handle("o", style.NEUTRAL, "REV"),
        handle("o", style.NEUTRAL, "baseline alone", markerfacecolor="white"),
        handle("_", "black", "criterion", markersize=9),
    ]
    placing = {"handletextpad": 0.2, "borderaxespad": 0.2, "columnspacing": 1.2}
    figure.legend(handles=entries if with_criterion else entries[:2], loc="outside lower center", ncols=3, **placing)
