"""Fig3: the accuracy that is lost when heads are removed."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption, counts
from wor.figures.panels import estimate_columns, missing_values, with_panels

TEXT = {"reasoning": "gold solutions", "control": "control text"}
KINDS = {"ranked": (style.REASONING, "o-"), "random": (style.NEUTRAL, "s--")}


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """Return one row per model, role, kind of removal and share of heads."""
    rows = [
        {
            "model": model,
            "label": result["label"],
            **{key: entry[key] for key in ("role", "kind", "share", "n_heads", "draws", "draws_low", "draws_high")},
            **estimate_columns(entry, "percentile"),
        }
        for model, result in results.items()
        for entry in result["heads"]
    ]
    table = pd.DataFrame(rows)
    return with_panels(table, table["label"] + ", " + table["role"], table["kind"])


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """Draw accuracy without ranked and without random heads: a row of panels per model."""
    models = points["model"].unique()
    figure, axes = style.canvas(len(models), 2, height=0.4 + 1.7 * len(models), sharex=True, sharey="row")
    points = points.assign(percent=points["share"] * 100)
    for row, model in zip(axes, models, strict=True):
        model_rows = points[points["model"] == model]
        missing = []
        for axis, (role, text) in zip(row, TEXT.items(), strict=True):
            rows = model_rows[model_rows["role"] == role]
            start = rows[rows["share"] == 0].assign(kind="random")
            for kind, (colour, line) in KINDS.items():
                if kind not in set(rows["kind"]):  # the share is so small that no head was removed
                    continue
                line_rows = pd.concat([start, rows])[lambda frame, kind=kind: frame["kind"] == kind].sort_values("share")
                style.band(axis, line_rows, "percent", colour, line, kind)
                if kind == "random":
                    for edge in ("draws_low", "draws_high"):
                        axis.plot(line_rows["percent"], line_rows[edge], ":", color=colour, linewidth=0.8, label="range")
            style.set_heading(axis, f"{text}, n = {counts(rows)}")
            if rows["value"].isna().all():
                style.write_reasons(axis, rows["reason"].unique())
            else:
                missing += missing_values(rows, _names(rows))
        style.set_heading(row[0], model_rows["label"].iloc[0], style.missing_line(missing), row[0].get_title(loc="left"))
        row[0].set_ylabel("Token accuracy")
    style.hide_empty_scales(axes)
    for axis in axes[-1]:
        axis.set_xlabel("Heads removed (%)")
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    handles, _ = axes[0, 0].get_legend_handles_labels()
    labels = ["ranked"]
    if (points["kind"] == "random").any():
        labels += ["random, same layers", f"range of {_draws(points)} draws"]
    placing = {"loc": "outside upper left", "borderaxespad": 0.2, "columnspacing": 1.2, "handletextpad": 0.5}
    figure.legend(handles[: len(labels)], labels, ncols=3, **placing)
    return figure


def describe(points: pd.DataFrame, params: Params) -> dict:
    """Return the caption and its numbers."""
    items = [
        f"{label} {' + '.join(f'{counts(model_rows.loc[[role]])} {text}' for role, text in TEXT.items())}"
        for label, model_rows in points.set_index("role").groupby("label", sort=False)
    ]
    low, high = points["share"].min() * 100, points["share"].max() * 100
    sentences = [
        "Share of a given text's tokens that the model ranks first, teacher-forced, on gold solutions (left) and on control text "
        f"(right), with {low:g} to {high:g} % of the heads replaced by their means over calibration controls.",
        f"Circles: the heads with the largest effect on gold solutions minus effect on control text, over at most "
        f"{params.heads.n_rank} calibration items of each.",
        f"Squares: as many random heads of the same layers, the mean over {_draws(points)} draws; dotted: the range of the draws."
        if (points["kind"] == "random").any()
        else "",
        f"Items: {'; '.join(items)}, of at most {params.heads.span} scored tokens each.",
    ]
    rows = points.assign(series=points["role"] + ", " + points["kind"]).rename(columns={"share": "x"})
    names = points["role"] + ", " + _names(points)
    return caption("Token accuracy with heads removed", sentences, rows, names, "share of heads removed", "items", params)


def _draws(points: pd.DataFrame) -> str:
    return counts(points[points["kind"] == "random"], "draws")


def _names(rows: pd.DataFrame) -> pd.Series:
    return rows["kind"] + " at " + (rows["share"] * 100).map("{:g} %".format)
