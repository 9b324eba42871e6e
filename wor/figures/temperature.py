"""Fig2: REV over sampling temperatures."""

import pandas as pd
from matplotlib.figure import Figure

from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption, counts
from wor.figures.panels import estimate_columns, missing_values, with_panels


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """Return one row per model, temperature and series (reasoning, control, auroc)."""
    rows = [
        {
            "model": model,
            "label": result["label"],
            "temperature": entry["temperature"],
            "series": series,
            **estimate_columns(entry[series], "BCa" if series == "auroc" else "percentile"),
        }
        for model, result in results.items()
        for entry in result["temperatures"]["by_temperature"]
        for series in ("reasoning", "control", "auroc")
    ]
    table = pd.DataFrame(rows)
    panel = table["series"].map({"auroc": "AUROC of REV"}).fillna("mean REV")
    return with_panels(table, table["label"] + ", " + panel, table["series"])


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """Draw mean REV by class and AUROC: one row of panels per model."""
    models = points["model"].unique()
    figure, axes = style.canvas(len(models), 2, height=0.4 + 1.6 * len(models), sharex=True, sharey="col")
    for (left, right), model in zip(axes, models, strict=True):
        rows = points[points["model"] == model]
        for series, (colour, line) in {**style.ROLE, "auroc": (style.ACCENT, "^-")}.items():
            axis = right if series == "auroc" else left
            style.band(axis, rows[rows["series"] == series], "temperature", colour, line, series)
        missing = []
        for axis, of_auroc in ((left, False), (right, True)):
            panel_rows = rows[(rows["series"] == "auroc") == of_auroc]
            if panel_rows["value"].isna().all():
                style.write_reasons(axis, panel_rows["reason"].unique())
            else:
                missing += missing_values(panel_rows, _names(panel_rows))
        style.set_heading(left, rows["label"].iloc[0], style.missing_line(missing), f"n = {_n(rows)}")
        if rows.loc[rows["series"] == "auroc", "value"].notna().any():
            right.axhline(0.5, color=style.NEUTRAL, linewidth=0.8, linestyle=":", zorder=0)
        left.set_ylabel("Mean REV (sd)")
        right.set_ylabel("AUROC of REV")
    style.hide_empty_scales(axes)
    for axis in axes[-1]:
        axis.set_xlabel("Sampling temperature")
        if points["temperature"].nunique() == 1:
            axis.set_xticks(points["temperature"].unique())
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, borderaxespad=0.2)
    return figure


def describe(points: pd.DataFrame, params: Params) -> dict:
    """Return the caption and its numbers."""
    items = [f"{rows['label'].iloc[0]} {_n(rows)}" for _, rows in points.groupby("model", sort=False)]
    sentences = [
        "Left: mean REV of reasoning and of control items, in standard deviations over calibration controls. Right: AUROC of "
        "REV; dotted: chance.",
        f"Items with a REV at each temperature: {'; '.join(items)}. The study's own temperature is {params.temperature:g}.",
    ]
    rows = points.assign(series=points["series"].map({**{role: f"mean REV of {role}" for role in style.ROLE}, "auroc": "AUROC"}))
    rows = rows.rename(columns={"temperature": "x"})
    names, x = _names(points), "sampling temperature"
    return caption("REV over sampling temperatures", sentences, rows, names, x, "whole clusters", params)


def _n(rows: pd.DataFrame) -> str:
    return " + ".join(f"{counts(rows[rows['series'] == role])} {role}" for role in style.ROLE)


def _names(rows: pd.DataFrame) -> pd.Series:
    return rows["series"].replace("auroc", "AUROC") + " at " + rows["temperature"].map("{:g}".format)
