"""Fig4: what each measure separates, and what it adds to the full baseline."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption, counts
from wor.figures.panels import estimate_columns, with_panels
from wor.measures.registry import CLAIMS, LABELS, PUBLISHED, SCORES

AUROC, GAIN = "AUROC", "dAUC"
QUANTITIES = {AUROC: "auroc", GAIN: "gain"}
NULLS = {AUROC: 0.5, GAIN: 0.0}
ARROWS = {1: "↑", -1: "↓", 0: ""}


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """Return one row per model, measure and quantity. Variants of a measure are left out."""
    names = {name: LABELS[name] for name in SCORES}
    names |= {measure.name: measure.label for measure in PUBLISHED if measure.kind != "variant"}
    rows = []
    for model, result in results.items():
        tried = result.get("trial", {"measures": {}, "refit_draws": 0})  # an earlier version has none
        measures, methods = tried["measures"], {AUROC: "BCa", GAIN: f"t with {tried['refit_draws']} refits"}
        for place, (name, label) in enumerate((key, names[key]) for key in names if key in measures):
            entry = measures[name]
            series = f"{label} {ARROWS[entry['direction']]}".rstrip()
            about = {"model": model, "label": result["label"], "measure": name, "series": series, "x": place}
            about |= {"claimed": CLAIMS[entry["direction"]], "claim": entry["claim"]}
            rows += [
                {**about, "quantity": quantity, **estimate_columns(entry[key], methods[quantity])}
                for quantity, key in QUANTITIES.items()
            ]
    columns = ["model", "label", "measure", "series", "x", "claimed", "claim", "quantity"]
    columns += ["value", "low", "high", "n", "interval", "reason", "note"]
    points = pd.DataFrame(rows).reindex(columns=columns)
    return with_panels(points, points["quantity"], points["label"])


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """Draw a forest plot: a row per measure, AUROC at the left and dAUC at the right."""
    measures, models = points.drop_duplicates("measure").sort_values("x"), points.drop_duplicates("model")
    figure, axes = style.canvas(1, 2, height=1.0 + 0.14 * max(8, len(measures)), sharey=True)
    places = {name: place for place, name in enumerate(measures["measure"])}
    step = 0.6 / max(1, len(models))
    for axis, (quantity, null) in zip(axes[0], NULLS.items(), strict=True):
        for index, model in enumerate(models["model"]):
            rows = points[(points["quantity"] == quantity) & (points["model"] == model)]
            y = rows["measure"].map(places) + step * (index - (len(models) - 1) / 2)
            colour, marker = style.MODELS[index % len(style.MODELS)]
            axis.hlines(y, rows["low"], rows["high"], color=colour, linewidth=0.8)
            axis.plot(rows["value"], y, marker, color=colour, markersize=2.8, label=rows["label"].iloc[0])
        rows = points[points["quantity"] == quantity]
        if rows["value"].isna().all():
            style.write_reasons(axis, rows["reason"].unique())
        axis.axvline(null, color=style.NEUTRAL, linewidth=0.8, linestyle=":", zorder=0)
        axis.set_xlabel(quantity)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value, 9):.3g}"))
    axes[0, 0].set_yticks(list(places.values()), measures["series"].tolist())
    axes[0, 0].set_ylim(len(places) - 0.4, -0.6)
    for axis in axes[0]:
        axis.tick_params(axis="y", length=0)
    if len(models) > 1:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, borderaxespad=0.2)
    return figure


def describe(points: pd.DataFrame, params: Params) -> dict:
    """Return the caption and its numbers."""
    separating = points[points["quantity"] == AUROC]
    panels = [
        f"Left: AUROC, reasoning against control items (n = {counts(separating)}), of the study's own and of published "
        "measures; dotted: chance. Arrows: the side that effort or right answers are claimed to be on."
        if len(separating)
        else "",
        "Right: dAUC over the full baseline, with the measure's coefficient bounded to the side that its authors claim; dotted: "
        "nothing.",
        "Most of these measures were proposed to tell right from wrong answers of larger models. Reasoning against control is "
        "this study's transfer of them. Variants are in the table of the trial.",
    ]
    title = "Measures of reasoning effort"
    rows = points.rename(columns={"series": "name", "quantity": "series"})
    return caption(title, panels, rows, rows["name"], "place of the measure", "whole clusters", params)
