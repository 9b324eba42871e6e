"""The figures' style, for one column, any colour vision and printer; same numbers, same files."""

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wor import storage

WIDTH = 3.4  # inches, one column of a journal: nothing is scaled, and text keeps its 7 points

# Okabe-Ito colours differ for any colour vision. Markers and dashes differ without any colour.
REASONING, CONTROL, NEUTRAL, ACCENT = "#0072B2", "#D55E00", "#555555", "#009E73"
ROLE = {"reasoning": (REASONING, "o-"), "control": (CONTROL, "s--")}
MODELS = tuple(zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"), "os^DvPX", strict=True))

SETTINGS = {
    "figure.dpi": 100,
    "savefig.dpi": 300,
    **dict.fromkeys(
        ["font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"], 7
    ),
    "axes.titlelocation": "left",
    **dict.fromkeys(["axes.linewidth", "xtick.major.width", "ytick.major.width"], 0.6),
    **dict.fromkeys(["axes.spines.top", "axes.spines.right", "legend.frameon"], False),
    **dict.fromkeys(["axes.xmargin", "axes.ymargin"], 0.06),
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "svg.hashsalt": "wor",  # else IDs in an SVG change with each run
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's Type 3
}

# No date and no version, so that the same numbers give the same bytes.
METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def only_settings() -> Iterator[None]:
    """Set matplotlib to its defaults and SETTINGS, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def with_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Return ``draw`` under these settings of matplotlib."""

    @wraps(draw)
    def under_settings(*arguments: object) -> Figure:
        with only_settings():
            return draw(*arguments)

    return under_settings


def canvas(rows: int, columns: int, height: float, **shared: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure one column wide, ``height`` inches high, and its axes [rows, columns]."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)  # pyplot's figure would need a backend, and notebooks have their own
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def band(axis: Axes, rows: pd.DataFrame, x: str, colour: str, line: str, label: str) -> None:
    """Draw values over ``x`` as a line and their intervals as a band.

    A value without a neighbour gets a bar. ``line`` is marker and dashes, as matplotlib's ``o-``.
    """
    rows = rows.sort_values(x)
    axis.plot(rows[x], rows["value"], line, color=colour, label=label)
    axis.fill_between(rows[x], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
    isolated = rows[rows["low"].shift(1).isna() & rows["low"].shift(-1).isna()]
    axis.vlines(isolated[x], isolated["low"], isolated["high"], color=colour, linewidth=0.8, linestyle=line[1:])


def set_heading(axis: Axes, *lines: str) -> None:
    """Write lines above a panel. Above the left of two they may reach over the right."""
    # The layout reserves room by a title's middle: if it lies beyond the panel, panels move apart.
    axis.set_title("\n".join(textwrap.fill(line, 44 if _in_pair(axis) else 52) for line in lines if line))


def write_reasons(axis: Axes, reasons: Collection[str]) -> None:
    """Write in an empty panel why it is empty. Reasons that differ in numbers alone stand once."""
    kinds = dict.fromkeys(reason.partition(" (")[0] for reason in reasons)
    reasons = reasons if len(kinds) == len(set(reasons)) else kinds
    text = textwrap.fill(missing_line(reasons), 19 if _in_pair(axis) else 46)
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=NEUTRAL)


def _in_pair(axis: Axes) -> bool:
    spec = axis.get_subplotspec()
    return spec is not None and spec.get_gridspec().ncols == 2


def hide_empty_scales(axes: np.ndarray) -> None:
    """Remove the y scale of panels without a value, and without one that shares the scale."""
    for axis in axes.flat:
        lines = [line for sibling in axis.get_shared_y_axes().get_siblings(axis) for line in sibling.lines]
        if all(np.isnan(np.asarray(line.get_ydata(), float)).all() for line in lines):
            axis.set_yticks([])


def missing_line(reasons: Iterable[str]) -> str:
    """Return one line; empty where nothing is missing."""
    text = "; ".join(reasons)
    return f"Missing: {text}" if text else ""


def save(figure: Figure, stem: Path) -> None:
    """Write the figure as png (300 dpi), svg and pdf."""
    with only_settings():
        for suffix, metadata in METADATA.items():
            with storage.writing(stem.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], metadata=metadata)
