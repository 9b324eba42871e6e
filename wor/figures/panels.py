"""The columns that .dvc/plots/panels.json reads: every table of plots/ has them."""

from __future__ import annotations

import pandas as pd


def placed(table: pd.DataFrame, panel: pd.Series | str, line: pd.Series | str) -> pd.DataFrame:
    """``table`` with the ``panel`` that a row is drawn in, its ``line`` there, and its ``order`` along the line."""
    table = table.assign(panel=panel, line=line)
    return table.assign(order=table.groupby(["panel", "line"]).cumcount())
