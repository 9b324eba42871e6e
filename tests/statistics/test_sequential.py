import numpy as np
import pytest
from scipy import stats

from wor.statistics.sequential import look_levels, rejection_probability

# Constants of Jennison & Turnbull, Group Sequential Methods (2000), tables 2.1 and 2.3.
POCOCK = {1: 1.960, 2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555}
OBRIEN_FLEMING = {1: 1.960, 2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 10: 2.087}


@pytest.mark.parametrize("looks", POCOCK)
def test_levels_are_those_of_the_published_tables(looks):
    pocock = stats.norm.isf(look_levels(looks, 0.025, "pocock"))
    assert pocock == pytest.approx(np.full(looks, POCOCK[looks]), abs=0.001)
    expected = [OBRIEN_FLEMING[looks] * np.sqrt(looks / k) for k in range(1, looks + 1)]
    assert stats.norm.isf(look_levels(looks, 0.025, "obrien-fleming")) == pytest.approx(expected, abs=0.002)


def test_five_looks_at_five_percent_reject_a_true_null_in_fourteen():
    z = float(stats.norm.isf(0.025))
    assert 2 * rejection_probability([z] * 5) == pytest.approx(0.142, abs=0.001)


@pytest.mark.parametrize("spending", ["pocock", "obrien-fleming"])
def test_simulated_studies_reject_as_often_as_registered(spending):
    bounds = stats.norm.isf(look_levels(4, 0.05, spending))
    sums = np.random.default_rng(0).normal(size=(40_000, 4)).cumsum(1) / np.sqrt(np.arange(1, 5))
    assert (sums > bounds).any(1).mean() == pytest.approx(0.05, abs=0.004)
