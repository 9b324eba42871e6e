"""A figure's caption for a paper, and its numbers for a program."""

import pandas as pd

from wor.config.params import Params
from wor.figures.panels import missing_values
from wor.figures.style import missing_line


def caption(title: str, panels: list[str], rows: pd.DataFrame, names: pd.Series, x: str, resampled: str, params: Params) -> dict:
    """Return a paragraph that a paper could use, and every number of the figure.

    ``panels`` are sentences on what the panels show, of how many items; empty ones are left out.
    ``rows`` is the figure's table, with the columns ``x`` and ``series``. ``names`` has each row's
    name, besides its model, for the list of missing values. ``x`` says what the column ``x`` holds,
    and ``resampled`` which units the bootstrap resamples.
    """
    missing = [
        f"{label}: {'; '.join(missing_values(model_rows, names))}"
        for label, model_rows in rows.groupby("label", sort=False)
        if model_rows["value"].isna().any()
    ]
    sentences = [f"{title}.", *panels, *_intervals(rows, resampled, params), *_notes(rows)]
    sentences += [f"{missing_line(missing)}." if missing else "", f"Datasets: {', '.join(params.datasets)}."]
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
    """Return ``40``, or ``38 to 40`` where rows differ."""
    low, high = int(rows[column].min()), int(rows[column].max())
    return f"{low}" if low == high else f"{low} to {high}"


def _intervals(rows: pd.DataFrame, resampled: str, params: Params) -> list[str]:
    settings, sentences = params.statistics, []
    with_interval = rows[rows["interval"] != ""]
    if len(with_interval):
        kinds = {method: _join(group["series"]) for method, group in with_interval.groupby("interval")}
        methods = "; ".join(f"{method} for {series}" for method, series in kinds.items()) if len(kinds) > 1 else next(iter(kinds))
        sentences.append(
            f"Bars and bands: {settings.confidence * 100:g} % intervals over {settings.bootstrap_draws:,} bootstrap draws of "
            f"{resampled} within datasets ({methods})."
        )
    if without := len(rows[rows["value"].notna()]) - len(with_interval):
        sentences.append(f"{without} of {len(rows)} numbers have no interval (too few clusters to draw from).")
    return sentences


def _notes(rows: pd.DataFrame) -> list[str]:
    noted = rows[rows["note"] != ""]
    return [f"{_join(group['label'])}, {_join(group['series'])}: {note}." for note, group in noted.groupby("note")]


def _join(names: pd.Series) -> str:
    return ", ".join(names.unique())
