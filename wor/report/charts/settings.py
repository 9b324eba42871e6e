"""The specification curve: every other way to set the measures."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from wor.report.charts.common import Chart, make_chart, null_line, top_legend

PARTS = ["window", "tau", "normalisation", "components", "matching"]
ENDS = ("value", "low", "high")
STANDING = ["primary", "other"]


def specifications(tables: dict[str, pd.DataFrame]) -> Chart | None:
    """Every setting in order of its estimate, AUROC and dAUC with intervals, and what was set beneath, by series."""
    drawn = []
    for series, found in tables.items():
        for key, shown, none in (("auroc", "AUROC", 0.5), ("delta_auc", "dAUC", 0.0)):
            table = found[found[f"{key}_value"].notna()].sort_values(f"{key}_value", ignore_index=True)
            if len(table):
                title = shown if len(tables) == 1 else f"{shown}, {series}"
                drawn.append(_curve(table.rename(columns={f"{key}_{end}": end for end in ENDS}), title, none))
    if not drawn:
        return None
    note = f"{max(map(len, tables.values()))} settings in order of their estimate, with intervals; beneath, what each one sets."
    return make_chart("Specification curve: every other setting", note, alt.vconcat(*drawn, spacing=24), note)


def _in_order(choice: str) -> tuple[int, str]:
    return (int(choice), "") if choice.isdigit() else (0, choice)


def _curve(table: pd.DataFrame, title: str, none: float) -> alt.VConcatChart:
    rows = pd.DataFrame({"rank": np.arange(1, len(table) + 1), **{end: table[end] for end in ENDS}})
    rows["standing"] = np.where(table["primary"], *STANDING)
    choices = []
    for part in PARTS:
        rows[part] = table[part].astype(str)
        choices += [f"{part} {choice}" for choice in sorted(rows[part].unique(), key=_in_order) if choice != "-"]
    colour = alt.Color("standing:N", scale=alt.Scale(domain=STANDING, range=["var(--bad)", "var(--muted)"]), legend=top_legend())
    x = alt.X("rank:Q", title=None, axis=None, scale=alt.Scale(domain=[0, len(rows) + 1], nice=False))
    told = [*(f"{part}:N" for part in PARTS), *(alt.Tooltip(f"{end}:Q", format=".2f") for end in ENDS)]
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=told)
    bars = base.mark_rule(opacity=0.35).encode(y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)), y2="high:Q")
    points = base.mark_point(filled=True, opacity=1, size=14).encode(y="value:Q")
    own = base.transform_filter("datum.standing === 'primary'").mark_point(filled=True, opacity=1, size=90).encode(y="value:Q")
    set_ = (
        alt.Chart(rows)
        .transform_fold(PARTS, as_=["part", "choice"])
        .transform_filter("datum.choice !== '-'")
        .transform_calculate(choice="datum.part + ' ' + datum.choice")
        .mark_tick(thickness=1.5, size=9)
        .encode(
            x=x,
            y=alt.Y("choice:N", title=None, sort=choices, axis=alt.Axis(labelFontSize=10, domain=False, ticks=False)),
            color=colour,
            tooltip=["choice:N"],
        )
        .properties(width=620, height=alt.Step(13))
    )
    upper = (null_line(none, "y") + bars + points + own).properties(width=620, height=170)
    return alt.vconcat(upper, set_, spacing=4)
