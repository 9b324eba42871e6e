"""Compare the engine's ablations of the real model with TransformerLens, nnsight and float64."""

import pytest

from benchmarks import exactness, tools

pytestmark = pytest.mark.filterwarnings("ignore")  # from the other tools


@pytest.fixture(scope="module")
def kls():
    return exactness.run()


@pytest.mark.parametrize("tool", [name for name in tools.TOOLS if name != "engine"])
def test_a_layers_effect_is_the_other_tools(kls, tool):
    tool_kl, engine_kl = kls[tool].mean(-1), kls["engine"].mean(-1)
    assert tool_kl.min() > 1e-2, "an intervention does nothing; the test shows nothing"
    assert ((engine_kl - tool_kl).abs() / tool_kl).max() < 1e-4


def test_the_engine_in_float32_is_at_least_as_exact_as_any(kls):
    errors = exactness.errors(kls)
    assert errors["engine"] < 2e-4  # of every single position's KL, the smallest 1e-4 nats
    assert errors["engine"] <= min(errors.values())


def test_the_engine_in_float64_is_the_hook_loop_in_float64(kls):
    exact = kls["float64"]
    assert ((kls["engine, float64"] - exact).abs() / exact).max() < 1e-9
