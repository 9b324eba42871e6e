"""Charts of every estimate with its interval, and of the specification curve."""

import altair as alt
import numpy as np
import pandas as pd

from wor.analysis.headline import judged_auroc, main_gains
from wor.report import formatting, tables
from wor.report.charts.common import PANEL, Chart, make_chart, null_line, series_color, top_legend

PARTS = ["window", "tau", "normalisation", "components", "matching"]
ENDS = ("value", "low", "high")
STATUSES = ["primary", "other"]


def estimates(results: dict[str, dict]) -> Chart:
    """Return every measure's AUROC, dAUC and partial r with intervals, of one or two series."""
    panels = {"AUROC": 0.5, "dAUC over the full baseline": 0.0, "partial r": 0.0}
    rows = []
    for name, result in results.items():
        for key, gain in main_gains(result).items():
            entries = (judged_auroc(result, key), gain["delta"], result["partial"][key]["clustered"])
            rows += [
                {"series": name, "measure": formatting.measure_label(key), "panel": panel, **_interval(entry, panel != "AUROC")}
                for panel, entry in zip(panels, entries, strict=True)
            ]
        for label, entry in (
            *tables.baselines(result),
            *_null_models(result),
            ("wording (TF-IDF)", result["nulls"]["surface_ceiling"]),
            ("shuffled labels", result["nulls"]["permuted_labels"]),
        ):
            rows.append({"series": name, "measure": label, "panel": "AUROC", **_interval(entry)})
    table = pd.DataFrame(rows)
    order = list(dict.fromkeys(table["measure"]))
    measures = [name for name in order if (table.loc[table["measure"] == name, "panel"] != "AUROC").any()]
    several = len(results) > 1
    charts = []
    for panel, null in panels.items():
        part = table[(table["panel"] == panel) & table["value"].notna()]
        y = alt.Y("measure:N", sort=order, title=None, scale=alt.Scale(domain=order if panel == "AUROC" else measures))
        offset = alt.YOffset("series:N", sort=list(results)) if several else alt.Undefined
        colour = series_color(list(results)) if several else alt.value("var(--text)")
        tooltip = ["series:N", "measure:N", alt.Tooltip("shown:N", title=panel)]
        base = alt.Chart(part).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
        bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=panel, scale=alt.Scale(zero=False)), x2="high:Q")
        points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
        charts.append((null_line(null, "x") + bars + points).properties(width=PANEL, height=alt.Step(20 if several else 18)))
    about = "; ".join(
        f"{row.series}: {row.measure} {row.panel} {row.shown}" for row in table.itertuples() if row.measure == "REV"
    )
    confidence = formatting.format_confidence(results.values())
    return make_chart(f"Estimates with {confidence} intervals", f"{about}. All numbers are in the tables.", alt.hconcat(*charts))


def _null_models(result: dict) -> list[tuple[str, dict]]:
    if "null_models" not in result:  # of an earlier version
        return [("twin, random weights", result["twin"]["auroc"]["rev"])]
    kinds = result["null_models"]["kinds"]
    return [(f"REV of null model: {formatting.null_model_label(kind)}", kinds[kind]["auroc"]["rev"]["mean"]) for kind in kinds]


def _interval(entry: dict, sign: bool = False) -> dict:
    return {key: entry[key] for key in ("value", "low", "high")} | {"shown": formatting.format_estimate(entry, sign)}


def specifications(tables: dict[str, pd.DataFrame]) -> Chart | None:
    """Return AUROC and dAUC of every setting in order, with its choices; None without any."""
    parts = []
    for series, settings in tables.items():
        for key, label, null in (("auroc", "AUROC", 0.5), ("delta_auc", "dAUC", 0.0)):
            table = settings[settings[f"{key}_value"].notna()].sort_values(f"{key}_value", ignore_index=True)
            if len(table):
                title = label if len(tables) == 1 else f"{label}, {series}"
                parts.append(_curve(table.rename(columns={f"{key}_{end}": end for end in ENDS}), title, null))
    if not parts:
        return None
    note = f"{max(map(len, tables.values()))} settings in order of their estimate, with intervals; below, what each one sets."
    return make_chart("Specification curve: every other setting", note, alt.vconcat(*parts, spacing=24), note)


def _sort_key(choice: str) -> tuple[int, str]:
    return (int(choice), "") if choice.isdigit() else (0, choice)


def _curve(table: pd.DataFrame, title: str, null: float) -> alt.VConcatChart:
    rows = pd.DataFrame({"rank": np.arange(1, len(table) + 1), **{end: table[end] for end in ENDS}})
    rows["status"] = np.where(table["primary"], *STATUSES)
    choices = []
    for part in PARTS:
        rows[part] = table[part].astype(str)
        choices += [f"{part} {choice}" for choice in sorted(rows[part].unique(), key=_sort_key) if choice != "-"]
    colour = alt.Color("status:N", scale=alt.Scale(domain=STATUSES, range=["var(--bad)", "var(--muted)"]), legend=top_legend())
    x = alt.X("rank:Q", title=None, axis=None, scale=alt.Scale(domain=[0, len(rows) + 1], nice=False))
    tooltip = [*(f"{part}:N" for part in PARTS), *(alt.Tooltip(f"{end}:Q", format=".2f") for end in ENDS)]
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=tooltip)
    bars = base.mark_rule(opacity=0.35).encode(y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)), y2="high:Q")
    points = base.mark_point(filled=True, opacity=1, size=14).encode(y="value:Q")
    primary = base.transform_filter("datum.status === 'primary'").mark_point(filled=True, opacity=1, size=90).encode(y="value:Q")
    choice_marks = (
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
    upper = (null_line(null, "y") + bars + points + primary).properties(width=620, height=170)
    return alt.vconcat(upper, choice_marks, spacing=4)
