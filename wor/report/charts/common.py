"""Parts that the charts share. Colours are the page's CSS variables: its script resolves them."""

from dataclasses import dataclass

import altair as alt
import pandas as pd

alt.data_transformers.enable("default", max_rows=None)  # a ROC can exceed the 5,000 rows

ROLES = alt.Scale(domain=["reasoning", "control"], range=["var(--reasoning)", "var(--control)"])
DASHES = alt.Scale(domain=["reasoning", "control"], range=[[1, 0], [4, 3]])
PANEL = 190  # pixels: the width of a panel


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite ``spec``, ``about`` for readers who cannot see it, ``note`` for all others."""

    title: str
    about: str
    note: str
    spec: dict


def make_chart(title: str, about: str, picture: alt.TopLevelMixin, note: str = "") -> Chart:
    spec = picture.to_dict()
    spec["datasets"] = {key: [_round_floats(row) for row in rows] for key, rows in spec.get("datasets", {}).items()}
    spec.pop("config", None)  # the page has one for all charts
    spec.pop("$schema")
    return Chart(title, about, note, spec)


def _round_floats(row: dict) -> dict:
    """Keep 4 digits: a pixel shows no more."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}


def role_color() -> alt.Color:
    return alt.Color("role:N", scale=ROLES, legend=top_legend())


def role_dash() -> alt.StrokeDash:
    """Return dashes by class. The legend must be the colour's, or Vega warns."""
    return alt.StrokeDash("role:N", scale=DASHES, legend=top_legend())


def series_color(names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=["var(--first)", "var(--second)"])
    return alt.Color("series:N", scale=scale, legend=top_legend())


def top_legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolOpacity=1)


def null_line(null: float, axis: str) -> alt.Chart:
    """Return a line at ``null``, where there is no effect."""
    return (
        alt.Chart(pd.DataFrame({axis: [null]})).mark_rule(strokeDash=[3, 3], color="var(--muted)").encode(**{axis: f"{axis}:Q"})
    )
