"""A figure's caption, and the numbers in it, for a paper or a program to read."""

from __future__ import annotations

import pandas as pd

from wor.config.params import Params
from wor.figures.panels import missing_values
from wor.figures.style import missing_line


def caption(title: str, drawn: list[str], rows: pd.DataFrame, names: pd.Series, x: str, resampled: str, params: Params) -> dict:
    """A paragraph that a paper could use, and every number that is drawn.

    Parameters
    ----------
    drawn : sentences on what the panels show, and of how many items; an empty one is left out.
    rows : the figure's table, with the columns ``x`` and ``series``.
    names : what to call each row where it has no value, beside its model.
    x : what the column of that name holds.
    resampled : what a bootstrap draw takes again.
    """
    gone = [
        f"{label}: {'; '.join(missing_values(of_model, names))}"
        for label, of_model in rows.groupby("label", sort=False)
        if of_model["value"].isna().any()
    ]
    sentences = [f"{title}.", *drawn, *_intervals(rows, resampled, params), *_notes(rows)]
    sentences += [f"{missing_line(gone)}." if gone else "", f"Datasets: {', '.join(params.datasets)}."]
    return {
        "title": title,
        "caption": " ".join(sentence for sentence in sentences if sentence),
        "models": list(rows["label"].unique()),
        "datasets": params.datasets,
        "confidence": params.statistics.confidence,
        "bootstrap_draws": params.statistics.bootstrap_draws,
        "x": x,
        "points": rows.drop(columns=["panel", "line", "order"]).to_dict("records"),
    }


def counts(rows: pd.DataFrame, column: str = "n") -> str:
    """``40``, or ``38 to 40`` where rows differ."""
    low, high = int(rows[column].min()), int(rows[column].max())
    return f"{low}" if low == high else f"{low} to {high}"


def _intervals(rows: pd.DataFrame, resampled: str, params: Params) -> list[str]:
    settings, found = params.statistics, []
    with_one = rows[rows["interval"] != ""]
    if len(with_one):
        kinds = {method: _listed(group["series"]) for method, group in with_one.groupby("interval")}
        methods = "; ".join(f"{method} for {series}" for method, series in kinds.items()) if len(kinds) > 1 else next(iter(kinds))
        found.append(
            f"Bars and bands: {settings.confidence * 100:g} % intervals over {settings.bootstrap_draws:,} bootstrap draws of "
            f"{resampled} within datasets ({methods})."
        )
    if without := len(rows[rows["value"].notna()]) - len(with_one):
        found.append(f"{without} of {len(rows)} numbers have no interval (too few clusters to draw from).")
    return found


def _notes(rows: pd.DataFrame) -> list[str]:
    noted = rows[rows["note"] != ""]
    return [f"{_listed(group['label'])}, {_listed(group['series'])}: {note}." for note, group in noted.groupby("note")]


def _listed(names: pd.Series) -> str:
    return ", ".join(names.unique())
