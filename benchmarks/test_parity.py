"""The engine's ablations on the real model against TransformerLens, nnsight and float64: the same KL for every layer."""

import pytest

from benchmarks import exactness, tools

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other tools


@pytest.fixture(scope="module")
def found():
    return exactness.run()


@pytest.mark.parametrize("tool", [name for name in tools.TOOLS if name != "engine"])
def test_a_layers_effect_is_the_other_tools(found, tool):
    theirs, ours = found[tool].mean(-1), found["engine"].mean(-1)
    assert theirs.min() > 1e-2, "an intervention does nothing; the test shows nothing"
    assert ((ours - theirs).abs() / theirs).max() < 1e-4


def test_the_engine_in_float32_is_at_least_as_exact_as_any(found):
    errors = exactness.errors(found)
    assert errors["engine"] < 2e-4  # of every single position's KL, the smallest 1e-4 nats
    assert errors["engine"] <= min(errors.values())


def test_the_engine_in_float64_is_the_hook_loop_in_float64(found):
    exact = found["float64"]
    assert ((found["engine, float64"] - exact).abs() / exact).max() < 1e-9
