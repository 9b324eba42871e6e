"""Fig3: the accuracy that is lost when heads are removed."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wor.config.params import Params
from wor.figures import style
from wor.figures.captions import caption, counts
from wor.figures.panels import estimate_columns, missing_values, with_panels

TEXT = {"reasoning": "gold solutions", "control": "articles"}
KINDS = {"ranked": (style.REASONING, "o-"), "random": (style.NEUTRAL, "s--")}
DIFFERENCE = "ranked - random"
SPREAD = ("draws", "draws_low", "draws_high")
INTERVALS = [f"{name}{suffix}" for name in ("reliability", "mean") for suffix in ("", "_low", "_high", "_reason")]
COLUMNS = ["model", "label", "role", "kind", "share", "n_heads", *SPREAD]
COLUMNS += ["value", "low", "high", "n", "interval", "reason", "note", *INTERVALS]


def table(results: dict[str, dict], params: Params) -> pd.DataFrame:
    """Return one row per model, role, kind of removal and share of heads.

    The kind ``ranked - random`` is the difference of accuracies, with its mean over the shares in
    columns that begin with ``mean``. Iterations of an earlier version have none, and no
    ``reliability`` of the ranking.
    """
    rows = []
    for model, result in results.items():
        ranking = _interval_columns("reliability", result.get("head_ranking", {}).get("reliability"))
        about = {"model": model, "label": result["label"]}
        rows += [
            {
                **about,
                **{key: entry[key] for key in ("role", "kind", "share", "n_heads", *SPREAD)},
                **estimate_columns(entry, "percentile"),
                **ranking,
            }
            for entry in result["heads"]
        ]
        means = {entry["role"]: entry for entry in result.get("head_differences", []) if entry["share"] == "mean"}
        rows += [
            {
                **about,
                **{"role": entry["role"], "kind": DIFFERENCE, "share": entry["share"]},
                **estimate_columns(entry, "percentile"),
                **_interval_columns("mean", means[entry["role"]]),
            }
            for entry in result.get("head_differences", [])
            if entry["share"] != "mean"
        ]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    panel = table["label"] + ", " + table["role"] + table["kind"].map({DIFFERENCE: f", {DIFFERENCE}"}).fillna("")
    return with_panels(table, panel, table["kind"])


def _interval_columns(name: str, estimate: dict | None) -> dict:
    columns = {"": "value", "_low": "low", "_high": "high", "_reason": "reason"}
    return {f"{name}{suffix}": estimate[key] for suffix, key in columns.items()} if estimate else {}


@style.with_style
def draw(points: pd.DataFrame) -> Figure:
    """Draw accuracy without ranked and without random heads, and below it their difference."""
    models = points["model"].unique()
    per_model = 2 if (points["kind"] == DIFFERENCE).any() else 1
    height = 0.4 + 1.7 * len(models) if per_model == 1 else 0.5 + 2.9 * len(models)
    figure, axes = style.canvas(per_model * len(models), 2, height=height, sharex=True, sharey="row")
    points = points.assign(percent=points["share"] * 100)
    for index, model in enumerate(models):
        model_rows = points[points["model"] == model]
        _draw_accuracies(axes[per_model * index], model_rows)
        if per_model == 2:
            _draw_differences(axes[per_model * index + 1], model_rows[model_rows["kind"] == DIFFERENCE])
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


def _draw_accuracies(row: np.ndarray, model_rows: pd.DataFrame) -> None:
    missing = []
    for axis, (role, text) in zip(row, TEXT.items(), strict=True):
        rows = model_rows[(model_rows["role"] == role) & (model_rows["kind"] != DIFFERENCE)]
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


def _draw_differences(row: np.ndarray, rows: pd.DataFrame) -> None:
    for axis, role in zip(row, TEXT, strict=True):
        axis.axhline(0, color=style.NEUTRAL, linewidth=0.6)
        style.band(axis, rows[rows["role"] == role], "percent", style.ACCENT, "o-", DIFFERENCE)
    row[0].set_ylabel("Ranked - random")


def describe(points: pd.DataFrame, params: Params) -> dict:
    """Return the caption and its numbers."""
    accuracies, differences = (points[(points["kind"] == DIFFERENCE) == is_difference] for is_difference in (False, True))
    items = [
        f"{label} {' + '.join(f'{counts(model_rows.loc[[role]])} {text}' for role, text in TEXT.items())}"
        for label, model_rows in accuracies.set_index("role").groupby("label", sort=False)
    ]
    low, high = points["share"].min() * 100, points["share"].max() * 100
    sentences = [
        "Share of a given text's tokens that the model ranks first, teacher-forced after the prompt, on gold solutions (left) "
        f"and on what an article's prompt leaves of it (right), with {low:g} to {high:g} % of the heads replaced by their "
        "means over calibration controls.",
        f"Circles: the heads with the largest effect on gold solutions minus effect on articles, over at most "
        f"{params.heads.n_rank} calibration items of each, of other clusters.",
        f"Squares: random other heads of the same layers, as many where a layer has them, the mean over {_draws(points)} draws; "
        "dotted: the range of the draws."
        if (points["kind"] == "random").any()
        else "",
        *_reliability(accuracies, params),
        *_mean_differences(differences),
        f"Items: {'; '.join(items)}, of at most {params.heads.span} scored tokens each.",
    ]
    rows = points.assign(series=points["role"] + ", " + points["kind"]).rename(columns={"share": "x"})
    names = points["role"] + ", " + _names(points)
    return caption("Token accuracy with heads removed", sentences, rows, names, "share of heads removed", "clusters", params)


def _reliability(accuracies: pd.DataFrame, params: Params) -> list[str]:
    """Return what the ranking is worth, by model."""
    rows = accuracies.drop_duplicates("model").dropna(subset="reliability_reason")
    parts = [f"{row['label']} {_interval(row, 'reliability')}" for _, row in rows.iterrows()]
    halves = f"{params.heads.halves} random halves of the ranking items"
    return [f"Split-half reliability of the ranking (Spearman-Brown, {halves}): {'; '.join(parts)}."] if parts else []


def _mean_differences(differences: pd.DataFrame) -> list[str]:
    if differences.empty:
        return []
    parts = [
        f"{label} " + ", ".join(f"{row['role']} {_interval(row, 'mean')}" for _, row in rows.drop_duplicates("role").iterrows())
        for label, rows in differences.groupby("label", sort=False)
    ]
    return [f"Ranked minus random, mean over the shares: {'; '.join(parts)}."]


def _interval(row: pd.Series, name: str) -> str:
    if pd.isna(row[name]):
        return f"none ({row[f'{name}_reason']})"
    interval = f" [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]" if pd.notna(row[f"{name}_low"]) else ""
    return f"{row[name]:.2f}{interval}"


def _draws(points: pd.DataFrame) -> str:
    return counts(points[points["kind"] == "random"], "draws")


def _names(rows: pd.DataFrame) -> pd.Series:
    return rows["kind"] + " at " + (rows["share"] * 100).map("{:g} %".format)
