"""An estimate always comes with its interval and its n, or with the reason why it is undefined."""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with an interval. ``reason`` says why the value is NaN; ``note`` is a caveat."""

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
