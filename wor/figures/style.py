"""How every figure looks: readable at column width, colour-blind safe, the same file for the same numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wor import storage

# Okabe-Ito: told apart with any colour vision.
REASONING, CONTROL, NEUTRAL, ACCENT = "#0072B2", "#D55E00", "#555555", "#009E73"
ROLE = {"reasoning": REASONING, "control": CONTROL}

SETTINGS = {
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "wor",  # else every SVG has IDs of its own
    "svg.fonttype": "none",
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under these settings, whatever matplotlib's own are."""

    @wraps(draw)
    def under_settings(*arguments: object) -> Figure:
        with plt.rc_context(SETTINGS):
            return draw(*arguments)

    return under_settings


def canvas(columns: int = 1, rows: int = 1, width: float = 3.4, height: float = 2.6) -> tuple[Figure, list]:
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False)
    return figure, list(axes.flat)


def explain(axis: Axes, reason: str) -> None:
    """Say in an empty panel why it is empty."""
    text = "\n".join(textwrap.wrap(f"Not there: {reason}", 36))
    axis.text(0.5, 0.7, text, transform=axis.transAxes, ha="center", va="center", color=NEUTRAL)


def save(figure: Figure, stem: Path) -> None:
    """Write png (300 dpi) and svg. No date inside: the same numbers give the same bytes."""
    with plt.rc_context(SETTINGS):
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            with storage.writing(stem.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], metadata=metadata)
    plt.close(figure)
