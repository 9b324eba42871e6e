"""Columns that the tables in plots/tables/ share, which .dvc/plots/panels.json reads."""

import pandas as pd

from wor.statistics.bootstrap import BINOMIAL, NO_BCA


def with_panels(table: pd.DataFrame, panel: pd.Series | str, line: pd.Series | str) -> pd.DataFrame:
    """Return ``table`` with each row's ``panel``, its ``line`` there and its ``order`` on that."""
    table = table.assign(panel=panel, line=line)
    return table.assign(order=table.groupby(["panel", "line"]).cumcount())


def estimate_columns(estimate: dict, method: str) -> dict:
    """Return an estimate (None for NaN in JSON) as columns; ``interval`` is its method or empty."""
    value, low, high = (float("nan") if estimate[key] is None else estimate[key] for key in ("value", "low", "high"))
    note = estimate.get("note", "")
    # The note of an AUROC says where its interval is another than BCa.
    other = next((name for words, name in ((BINOMIAL, "binomial"), (NO_BCA, "percentile")) if words in note), method)
    interval = "" if pd.isna(low) else other
    numbers = {"value": value, "low": low, "high": high, "n": estimate["n"]}
    return numbers | {"interval": interval, "reason": estimate["reason"], "note": note}


def missing_values(points: pd.DataFrame, names: pd.Series) -> list[str]:
    """Return the names of missing values, one line per reason. ``names`` has one per row."""
    missing = points[points["value"].isna()].assign(name=names)
    return [f"{', '.join(rows['name'].unique())} ({reason})" for reason, rows in missing.groupby("reason", sort=False)]
