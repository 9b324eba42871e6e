"""Charts that compare the classes. ``tables`` are items by series: one iteration's, or two."""

import altair as alt
import numpy as np
import pandas as pd

from wor.figures import curves
from wor.measures.registry import SCORES
from wor.report import formatting
from wor.report.charts.common import PANEL, Chart, make_chart, role_color, role_dash

BINS = 24
# One more than the colours, so that 30 measures look different.
STROKES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [10, 3]]


def distributions(tables: dict[str, pd.DataFrame]) -> Chart | None:
    """Return histograms by class, one panel per measure and series; None without values."""
    panels, medians = [], []
    for score in SCORES:
        # An iteration of an earlier version lacks the measures that came later.
        series_items = {series: items for series, items in tables.items() if score in items}
        values = pd.concat([pd.Series(dtype=float), *(items[score].dropna() for items in series_items.values())])
        edges = np.histogram_bin_edges(values, BINS)
        for series, items in series_items.items() if len(values) else ():
            groups = {role: group for role, group in items.dropna(subset=[score]).groupby("role")[score]}
            if not groups:
                continue
            centre = pd.DataFrame([{"role": role, "median": group.median()} for role, group in groups.items()])
            medians += [f"median {formatting.measure_label(score)} of {row.role} {row.median:.3g}" for row in centre.itertuples()]
            title = formatting.measure_label(score) if len(tables) == 1 else f"{formatting.measure_label(score)}, {series}"
            panels.append(_histogram(groups, edges, centre, title))
    if not panels:
        return None
    return make_chart(
        "Distributions by class (lines: medians)", "; ".join(medians), alt.concat(*panels, columns=3 if len(tables) == 1 else 2)
    )


def _histogram(groups: dict[str, pd.Series], edges: np.ndarray, centre: pd.DataFrame, title: str) -> alt.LayerChart:
    parts = []
    for role, values in groups.items():
        counts, _ = np.histogram(values, edges)
        part = {"start": edges[:-1], "end": edges[1:], "items": counts, "share": counts / len(values)}
        parts.append(pd.DataFrame({"role": role, **part}))
    bars = (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=alt.X("start:Q", bin="binned", title=title),
            x2="end:Q",
            y=alt.Y("share:Q", stack=None, title="share of items", axis=alt.Axis(format="%")),
            color=role_color(),
            tooltip=["role:N", "start:Q", "end:Q", "items:Q", alt.Tooltip("share:Q", format=".0%")],
        )
    )
    rule = (
        alt.Chart(centre)
        .mark_rule(strokeWidth=2)
        .encode(
            x="median:Q", color=role_color(), strokeDash=role_dash(), tooltip=["role:N", alt.Tooltip("median:Q", format=".3g")]
        )
    )
    return (bars + rule).properties(width=PANEL, height=130)


def roc(tables: dict[str, pd.DataFrame]) -> Chart | None:
    """Return a ROC curve per measure, or of REV for two series; None without both classes."""
    points = pd.concat([curves.roc(items, "").assign(series=series) for series, items in tables.items()], ignore_index=True)
    points = points.assign(measure=points["score"].map(formatting.measure_label))
    by = "measure"
    if len(tables) > 1:
        points, by = points[points["score"] == "rev"], "series"
    names = list(dict.fromkeys(points[by]))
    if not names:
        return None
    colours = ["var(--first)", "var(--second)"] if by == "series" else [f"var(--line-{index})" for index in range(5)]
    scales = {name: alt.Scale(domain=names, range=range_) for name, range_ in (("colour", colours), ("dash", STROKES))}
    legend = alt.Legend(title=None, orient="right")
    lines = (
        alt.Chart(points[["fpr", "tpr", by]])
        .mark_line()
        .encode(
            x=alt.X("fpr:Q", title="false positive rate"),
            y=alt.Y("tpr:Q", title="true positive rate"),
            color=alt.Color(f"{by}:N", scale=scales["colour"], legend=legend),
            strokeDash=alt.StrokeDash(f"{by}:N", scale=scales["dash"], legend=legend),
            tooltip=[f"{by}:N", alt.Tooltip("fpr:Q", format=".2f"), alt.Tooltip("tpr:Q", format=".2f")],
        )
    )
    chance = alt.Chart(pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1]})).mark_line(
        color="var(--muted)", strokeDash=[3, 3], strokeWidth=1
    )
    picture = (chance.encode(x="fpr:Q", y="tpr:Q") + lines).properties(width=280, height=280)
    subject = "REV, " if by == "series" else ""
    about = f"Curves of {', '.join(names)}; areas in the table of results."
    counts = [f"{series}: {_attrition(items)}" if len(tables) > 1 else _attrition(items) for series, items in tables.items()]
    return make_chart(f"ROC: {subject}reasoning against control", about, picture, f"Items with a REV: {'; '.join(counts)}.")


def _attrition(items: pd.DataFrame) -> str:
    scored = items[items["rev"].notna()]
    used, of = ({role: int((rows["role"] == role).sum()) for role in formatting.ROLES} for rows in (scored, items))
    return formatting.format_attrition(used, of)


def dose(items: pd.DataFrame) -> Chart | None:
    """Return REV by steps of the worked solution, one point per item; None without steps."""
    table = items[items["steps"].notna() & items["rev"].notna()][["item_id", "dataset", "steps", "rev"]]
    if table.empty:
        return None
    axis = alt.Axis(tickMinStep=1, format="d")
    base = alt.Chart(table).encode(
        x=alt.X("steps:Q", title="steps of the worked solution", axis=axis, scale=alt.Scale(zero=False, padding=12))
    )
    marks = base.mark_circle(opacity=0.6, color="var(--reasoning)").encode(
        y=alt.Y("rev:Q", title="REV (sd of controls)"), tooltip=["item_id:N", "steps:Q", alt.Tooltip("rev:Q", format=".2f")]
    )
    means = base.mark_line(point={"color": "var(--text)"}, color="var(--text)").encode(y="mean(rev):Q")
    panels = [
        (marks + means).transform_filter(alt.datum.dataset == name).properties(width=280, height=180, title=name)
        for name in dict.fromkeys(table["dataset"])
    ]
    note = f"{len(table)} items over {table['steps'].min():.0f} to {table['steps'].max():.0f} steps; line: mean."
    return make_chart("Dose-response", f"{note} The trend is in the table.", alt.hconcat(*panels), note)
