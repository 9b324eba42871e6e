"""Fig1: what REV tells, against model size."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from wor.analysis import criteria
from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption
from wor.figures.panels import estimate_columns, missing_values, with_panels

REV, BASELINE, DELTA = "AUROC of REV", "AUROC of the baseline", "dAUC"


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """One row a model and quantity: its number, and ``wanted``, the least dAUC that the criteria ask of such a size."""
    wanted, rows = params.criteria.delta_auc, []
    for model, result in results.items():
        size = result["n_params"]
        about = {"model": model, "label": result["label"], "n_params": size}
        about |= {f"n_{role}": result["n"][role] for role in ("reasoning", "control")}
        asked = [least for criterion, least in wanted.items() if criteria.is_about_size(size, criterion)]
        added = result["added"]["rev"]
        for quantity, estimate, method in (
            (REV, result["auroc"]["rev"]["bootstrap"], "BCa"),
            (BASELINE, added["baseline"], "percentile"),
            (DELTA, added["delta"], "percentile"),
        ):
            least = asked[0] if asked and quantity == DELTA else np.nan
            rows.append({**about, "quantity": quantity, **estimate_columns(estimate, method), "wanted": least})
    found = pd.DataFrame(rows).sort_values(["quantity", "n_params"], ignore_index=True, kind="stable")
    return with_panels(found, found["quantity"], "by size")


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """AUROC over dAUC, on a logarithmic size axis; a colour and a marker a model."""
    models = points.drop_duplicates("model").sort_values("n_params", kind="stable")
    spread = np.log10(models["n_params"].max() / models["n_params"].min()) or 1.0
    gap = 0.13 * spread
    at = dict(zip(models["model"], _apart(np.log10(models["n_params"].to_numpy(float)), gap), strict=True))
    figure, axes = style.canvas(2, 1, height=3.2 + 0.13 * len(models), sharex=True)
    above, below = axes.flat
    for axis, quantities, rest in ((above, (REV, BASELINE), 0.5), (below, (DELTA,), 0)):
        rows = points[points["quantity"].isin(quantities)]
        for (model, colour, marker), quantity in ((look, name) for look in _looks(models) for name in quantities):
            row = rows[(rows["model"] == model) & (rows["quantity"] == quantity)].iloc[0]
            place = 10 ** (at[model] + gap * {REV: -0.18, BASELINE: 0.18}.get(quantity, 0))
            face = "white" if quantity == BASELINE else colour
            axis.plot(place, row["value"], marker, color=colour, markerfacecolor=face, markersize=4.5, zorder=3)
            axis.vlines(place, row["low"], row["high"], color=colour, linewidth=1)
            axis.plot(place, row["wanted"], "_", color="black", markersize=18, markeredgewidth=1)
        gone = missing_values(rows, rows["label"] + (", " + rows["quantity"] if len(quantities) > 1 else ""))
        if rows["value"].isna().all():
            style.write_reasons(axis, rows["reason"].unique())
        else:
            style.set_heading(axis, style.missing_line(gone))
            axis.axhline(rest, color=style.NEUTRAL, linewidth=0.8, linestyle=":", zorder=0)
    above.set_ylabel("AUROC")
    below.set_ylabel("dAUC")
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.3g}" if round(value, 9) else "0"))
    below.set_xlabel("Parameters")
    _size_axis(below, models["n_params"].unique(), min(at.values()) - 0.2 * spread, max(at.values()) + 0.2 * spread)
    style.hide_empty_scales(axes)
    figure.align_ylabels()
    _legends(figure, models, points["wanted"].notna().any())
    return figure


def describe(points: pd.DataFrame, params: Params) -> dict:
    """The caption's data."""
    models = points.drop_duplicates("model").sort_values("n_params", kind="stable")
    asked = [f"{row.label} {row.wanted:g}" for row in points.dropna(subset=["wanted"]).itertuples()]
    items = [f"{row.label} ({row.n_params:,} parameters) {row.n_reasoning} + {row.n_control}" for row in models.itertuples()]
    drawn = [
        "Above: AUROC, reasoning against control items, of REV (filled) and of the baseline of covariates alone (open); dotted: "
        "chance. Below: dAUC, what REV adds to the baseline's AUROC out of sample; dotted: nothing.",
        f"Dashes: the least dAUC that the criteria ask of such a size ({', '.join(asked)})." if asked else "",
        "Models of about one size stand side by side." if len(models) > 1 else "",
        f"Sampling temperature {params.temperature:g}. Items with a REV, reasoning + control: {'; '.join(items)}.",
    ]
    rows = points.rename(columns={"n_params": "x", "quantity": "series"})
    return caption("REV by model size", drawn, rows, rows["series"], "parameters", "whole clusters", params)


def size_name(parameters: float) -> str:
    """``135M``, ``1.7B``."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.2g}{name}" if parameters < 9.95 * unit else f"{parameters / unit:.0f}{name}"
    return f"{parameters:.0f}"


def _apart(places: np.ndarray, gap: float) -> np.ndarray:
    """The places nearest to ``places``, which ascend, that lie at least ``gap`` apart."""
    steps = gap * np.arange(len(places))
    return isotonic_regression(places - steps).x + steps


def _looks(models: pd.DataFrame) -> list[tuple[str, str, str]]:
    return [(model, *style.MODELS[index % len(style.MODELS)]) for index, model in enumerate(models["model"])]


def _size_axis(axis: Axes, sizes: np.ndarray, low: float, high: float) -> None:
    """A tick a size. A name that would run into its neighbour goes a line lower."""
    axis.set_xscale("log")
    axis.set_xlim(10**low, 10**high)
    names, last = [], []  # last: where the latest name of each line stands
    for size in np.sort(sizes):
        name, place = size_name(size), (np.log10(size) - low) / (high - low)
        if names and names[-1].strip() == name:
            names.append("")
            continue
        line = next((line for line, taken in enumerate(last) if place - taken > 0.14), len(last))
        last[line : line + 1] = [place]
        names.append("\n" * line + name)
    axis.set_xticks(np.sort(sizes), names)
    axis.xaxis.set_minor_locator(NullLocator())


def _legends(figure: Figure, models: pd.DataFrame, wanted: bool) -> None:
    def handle(marker: str, colour: str, label: str, **look: object) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, **{"markersize": 4.5, **look})

    counted = [f"(n = {row.n_reasoning} + {row.n_control})".replace(" ", "\u00a0") for row in models.itertuples()]
    labels = [textwrap.fill(f"{label} {n}", 50) for label, n in zip(models["label"], counted, strict=True)]
    entries = [handle(marker, colour, label) for (_, colour, marker), label in zip(_looks(models), labels, strict=True)]
    figure.legend(handles=entries, loc="outside upper left", handletextpad=0.2, borderaxespad=0.2)
    entries = [
        handle("o", style.NEUTRAL, "REV"),
        handle("o", style.NEUTRAL, "baseline alone", markerfacecolor="white"),
        handle("_", "black", "criterion", markersize=9),
    ]
    figure.legend(
        handles=entries if wanted else entries[:2],
        loc="outside lower center",
        ncols=3,
        handletextpad=0.2,
        borderaxespad=0.2,
        columnspacing=1.2,
    )
