"""Every estimate with its interval."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wor.report import formatting
from wor.report.charts.common import PANEL, Chart, make_chart, null_line, series_color


def estimates(results: dict[str, dict]) -> Chart:
    """AUROC, dAUC and partial r of every measure with their intervals; ``results``: by series, one or two."""
    panels = {"AUROC": 0.5, "dAUC over the baseline": 0.0, "partial r": 0.0}
    rows = []
    for name, result in results.items():
        for key in result["added"]:
            found = (result["auroc"][key]["bootstrap"], result["added"][key]["delta"], result["partial"][key]["clustered"])
            rows += [
                {"series": name, "measure": formatting.measure_label(key), "panel": panel, **_interval(entry, panel != "AUROC")}
                for panel, entry in zip(panels, found, strict=True)
            ]
        for label, entry in (
            ("baseline alone", result["added"]["rev"]["baseline"]),
            ("twin, random weights", result["twin"]["auroc"]["rev"]),
            ("wording (TF-IDF)", result["nulls"]["surface_ceiling"]),
            ("shuffled labels", result["nulls"]["permuted_labels"]),
        ):
            rows.append({"series": name, "measure": label, "panel": "AUROC", **_interval(entry)})
    table = pd.DataFrame(rows)
    order = list(dict.fromkeys(table["measure"]))
    measures = [name for name in order if (table.loc[table["measure"] == name, "panel"] != "AUROC").any()]
    several = len(results) > 1
    drawn = []
    for panel, none in panels.items():
        part = table[(table["panel"] == panel) & table["value"].notna()]
        y = alt.Y("measure:N", sort=order, title=None, scale=alt.Scale(domain=order if panel == "AUROC" else measures))
        offset = alt.YOffset("series:N", sort=list(results)) if several else alt.Undefined
        colour = series_color(list(results)) if several else alt.value("var(--text)")
        tooltip = ["series:N", "measure:N", alt.Tooltip("shown:N", title=panel)]
        base = alt.Chart(part).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
        bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=panel, scale=alt.Scale(zero=False)), x2="high:Q")
        points = base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q")
        drawn.append((null_line(none, "x") + bars + points).properties(width=PANEL, height=alt.Step(20 if several else 18)))
    about = "; ".join(
        f"{row.series}: {row.measure} {row.panel} {row.shown}" for row in table.itertuples() if row.measure == "REV"
    )
    confidence = formatting.format_confidence(results.values())
    return make_chart(f"Estimates with {confidence} intervals", f"{about}. All numbers are in the tables.", alt.hconcat(*drawn))


def _interval(entry: dict, sign: bool = False) -> dict:
    return {key: entry[key] for key in ("value", "low", "high")} | {"shown": formatting.format_estimate(entry, sign)}
