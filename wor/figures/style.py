"""How every figure looks: readable at the width of a column, whatever the reader's colour vision or printer; the same
file for the same numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wor import storage

WIDTH = 3.4  # inches: one column of a journal, so that nothing is scaled and every text keeps its 7 points

# Okabe-Ito: told apart with any colour vision. Markers and dashes tell them apart without any colour.
REASONING, CONTROL, NEUTRAL, ACCENT = "#0072B2", "#D55E00", "#555555", "#009E73"
ROLE = {"reasoning": (REASONING, "o-"), "control": (CONTROL, "s--")}
MODELS = tuple(zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"), "os^DvPX", strict=True))

SETTINGS = {
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.06,
    "axes.ymargin": 0.06,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "svg.hashsalt": "wor",  # else every SVG has IDs of its own
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's Type 3
}

# No date and no version inside: the same numbers give the same bytes.
METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def with_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under these settings, whatever matplotlib's own are."""

    @wraps(draw)
    def under_settings(*arguments: object) -> Figure:
        with matplotlib.rc_context(SETTINGS):
            return draw(*arguments)

    return under_settings


def canvas(rows: int, columns: int, height: float, **shared: object) -> tuple[Figure, np.ndarray]:
    """A figure one column wide, ``height`` inches high, and its axes, [rows, columns]."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot's figure: that would want a backend, and a notebook has its own
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def band(axis: Axes, rows: pd.DataFrame, x: str, colour: str, line: str, label: str) -> None:
    """Values over ``x`` as a line, their intervals as a band, or as a bar where a value has no neighbour to share one with.

    ``line`` : marker and dashes, as matplotlib's ``o-``.
    """
    rows = rows.sort_values(x)
    axis.plot(rows[x], rows["value"], line, color=colour, label=label)
    axis.fill_between(rows[x], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
    alone = rows[rows["low"].shift(1).isna() & rows["low"].shift(-1).isna()]
    axis.vlines(alone[x], alone["low"], alone["high"], color=colour, linewidth=0.8, linestyle=line[1:])


def set_heading(axis: Axes, *lines: str) -> None:
    """Lines over a panel; over the left of two they may reach over the right."""
    # The layout keeps a place for a title's middle only: one whose middle is beyond its panel pushes the panels apart.
    axis.set_title("\n".join(textwrap.fill(line, 44 if _in_pair(axis) else 54) for line in lines if line))


def write_reasons(axis: Axes, reasons: Iterable[str]) -> None:
    """Say in an empty panel why it is empty."""
    text = textwrap.fill(missing_line(reasons), 19 if _in_pair(axis) else 46)
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=NEUTRAL)


def _in_pair(axis: Axes) -> bool:
    return axis.get_subplotspec().get_gridspec().ncols == 2


def hide_empty_scales(axes: np.ndarray) -> None:
    """Take the y scale from a panel where neither it nor one that shares the scale has a value on it."""
    for axis in axes.flat:
        lines = [line for one in axis.get_shared_y_axes().get_siblings(axis) for line in one.lines]
        if all(np.isnan(np.asarray(line.get_ydata(), float)).all() for line in lines):
            axis.set_yticks([])


def missing_line(reasons: Iterable[str]) -> str:
    """One line; empty where nothing is missing."""
    listed = "; ".join(reasons)
    return f"Not there: {listed}" if listed else ""


def save(figure: Figure, stem: Path) -> None:
    """Write png (300 dpi), svg and pdf."""
    with matplotlib.rc_context(SETTINGS):
        for suffix, metadata in METADATA.items():
            with storage.writing(stem.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], metadata=metadata)
