"""Vega-Lite charts of an iteration. Colours are the page's CSS variables, `var(--name)`, resolved where they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import pandas as pd

alt.data_transformers.enable("default", max_rows=None)  # a ROC of 3,600 items has more than Altair's 5,000 rows

ROLES = alt.Scale(domain=["reasoning", "control"], range=["var(--reasoning)", "var(--control)"])
DASHES = alt.Scale(domain=["reasoning", "control"], range=[[1, 0], [4, 3]])
PANEL = 190  # pixels: a panel's side


@dataclass(frozen=True)
class Chart:
    """``spec`` is Vega-Lite; ``about`` says what is drawn to a reader who sees none of it, ``note`` to one who does."""

    title: str
    about: str
    note: str
    spec: dict


def make_chart(title: str, about: str, drawn: alt.TopLevelMixin, note: str = "") -> Chart:
    spec = drawn.to_dict()
    spec["datasets"] = {key: [_short(row) for row in rows] for key, rows in spec.get("datasets", {}).items()}
    spec.pop("config", None)  # the page has one for all charts
    spec.pop("$schema")
    return Chart(title, about, note, spec)


def _short(row: dict) -> dict:
    """No more digits than a pixel shows."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}


def role_color() -> alt.Color:
    """Colour by class, with a legend above."""
    return alt.Color("role:N", scale=ROLES, legend=top_legend())


def role_dash() -> alt.StrokeDash:
    """Dashes by class, for who sees no colours. With the colour's legend, or Vega warns of two."""
    return alt.StrokeDash("role:N", scale=DASHES, legend=top_legend())


def series_color(names: list[str]) -> alt.Color:
    """Colour by iteration, with a legend above."""
    scale = alt.Scale(domain=names, range=["var(--first)", "var(--second)"])
    return alt.Color("series:N", scale=scale, legend=top_legend())


def top_legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolOpacity=1)


def null_line(at: float, axis: str) -> alt.Chart:
    """A line where there is no effect."""
    return alt.Chart(pd.DataFrame({axis: [at]})).mark_rule(strokeDash=[3, 3], color="var(--muted)").encode(**{axis: f"{axis}:Q"})
