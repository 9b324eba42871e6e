import math

import pytest
from statsmodels.stats.multitest import multipletests

from wor.statistics import multiple_testing


def test_holm_equals_statsmodels_and_leaves_nan_out():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan, "e": 0.5, "f": 0.04}
    defined = [name for name in p if not math.isnan(p[name])]
    theirs = multipletests([p[name] for name in defined], method="holm")[1]
    ours = multiple_testing.holm(p)
    assert [ours[name] for name in defined] == pytest.approx(list(theirs))
    assert math.isnan(ours["d"])
