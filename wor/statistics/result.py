"""A number that is never alone: with its interval, its n, and the reason where it isn't there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with an interval. ``reason`` is empty unless the value is NaN; ``note`` says what to mind about it."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    n: int = 0
    reason: str = ""
    note: str = ""

    def as_dict(self) -> dict:
        return {key: value for key, value in asdict(self).items() if key != "note" or value}


def undefined(reason: str, n: int = 0) -> Estimate:
    return Estimate(n=n, reason=reason)
