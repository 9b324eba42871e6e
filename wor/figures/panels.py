"""What the tables of plots/tables/ share: the columns that .dvc/plots/panels.json reads, and an estimate's own."""

from __future__ import annotations

import pandas as pd


def with_panels(table: pd.DataFrame, panel: pd.Series | str, line: pd.Series | str) -> pd.DataFrame:
    """``table`` with the ``panel`` that a row is drawn in, its ``line`` there, and its ``order`` along the line."""
    table = table.assign(panel=panel, line=line)
    return table.assign(order=table.groupby(["panel", "line"]).cumcount())


def estimate_columns(estimate: dict, method: str) -> dict:
    """An estimate as columns of a table; ``interval`` names its method, or is empty where there is none.

    Read from JSON, which has no NaN: a missing number comes as None.
    """
    value, low, high = (float("nan") if estimate[key] is None else estimate[key] for key in ("value", "low", "high"))
    note = estimate.get("note", "")
    # An AUROC's note says that it has the percentiles in place of BCa; no other number has both.
    interval = "" if pd.isna(low) else "percentile" if note else method
    return {"value": value, "low": low, "high": high, "n": estimate["n"], "interval": interval} | {
        "reason": estimate["reason"],
        "note": note,
    }


def missing_values(points: pd.DataFrame, names: pd.Series) -> list[str]:
    """Which values are not there, and why: a line a reason. ``names`` has a name for each row of ``points``."""
    gone = points[points["value"].isna()].assign(name=names)
    return [f"{', '.join(rows['name'].unique())} ({reason})" for reason, rows in gone.groupby("reason", sort=False)]
