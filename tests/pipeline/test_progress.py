"""The time that is left, weighted by what each item costs, and the lines that show it."""

import re

import pytest

from wor.engine import cost
from wor.engine.generate import generate
from wor.pipeline import progress

# Recorded with the real 135M model on one thread: each item's cost as the engine counts it, and the
# processor's seconds when the item was done.
RECORDED = {
    "averaged, 23 controls": (
        [117, 142, 151, 152, 153, 153, 157, 157, 159, 163, 165, 170, 170, 178, 180, 180, 186, 189, 194, 198, 203, 208, 215],
        [0.45, 1.05, 1.65, 2.21, 2.78, 3.34, 3.92, 4.49, 5.05, 5.69, 6.35, 7.03, 7.69, 8.35, 9.05, 9.67, 10.32, 11.02, 11.74,
         12.59, 13.31, 14.11, 15.01],
    ),
    "observed, 20 word problems": (
        [1607, 1667, 1671, 1671, 1671, 1671, 1684, 1649, 1710, 1710, 1718, 1723, 1744, 1757, 1778, 1838, 1876, 1885, 1897, 1906],
        [4.99, 10.09, 15.61, 20.91, 27.23, 33.33, 39.87, 45.89, 52.53, 59.05, 65.96, 72.67, 78.80, 85.03, 90.83, 96.93, 103.18,
         109.25, 115.73, 121.86],
    ),
    "heads removed, 12 items": (
        [1571, 1580, 1581, 1592, 1133, 1228, 1181, 1600, 1616, 1619, 1636, 1658],
        [3.76, 7.55, 11.49, 15.72, 18.67, 21.83, 24.92, 29.07, 33.38, 37.47, 41.43, 45.40],
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", RECORDED)
def test_time_left_is_right_within_a_fifth_after_the_first_tenth(part):
    costs, seconds = RECORDED[part]
    course, checked = progress.CostProgress(costs), 0
    for done, elapsed in enumerate(seconds[:-1], 1):
        if elapsed >= 0.1 * seconds[-1]:
            course.done = done
            assert progress.seconds_left(elapsed, course.weight, course.total) == pytest.approx(seconds[-1] - elapsed, rel=0.2)
            checked += 1
    assert checked >= 10


def test_long_items_that_come_last_are_counted_as_long():
    """Shards have their long items last. By count, the first half would promise half the time."""
    costs = [10.0] * 10 + [30.0] * 10
    course = progress.CostProgress(costs)
    for done in range(1, 20):
        course.done = done
        elapsed, whole = sum(costs[:done]) / 7, sum(costs) / 7
        assert progress.seconds_left(elapsed, course.weight, course.total) == pytest.approx(whole - elapsed)


def test_a_part_of_an_item_counts_as_much_of_its_cost():
    course = progress.CostProgress([2.0, 8.0])
    course.done = 1.5
    assert (course.weight, course.total) == (6.0, 10.0)
    course.done = 2.0000001  # of shares that don't add up to the bit
    assert course.weight == 10.0


def test_generation_counts_its_prompts_by_layer_and_its_tokens_by_step(lm):
    """A prompt pass of a long prompt is most of a short continuation, and is not over at once."""
    done = []
    generate(lm, [[5] * 90, [6] * 60], ["a", "b"], temperatures=[0.0, 0.0], max_new_tokens=3, seed=0, advance=done.append)
    by_layer, by_step = done[: lm.n_layers], done[lm.n_layers : -1]
    step = cost.step(2)
    whole = 2 * 90 + 2 * step
    assert by_layer == [pytest.approx(2 * (2 * 90 / lm.n_layers) / whole)] * lm.n_layers
    assert by_step == [pytest.approx(2 * step / whole)] * len(by_step)
    assert sum(done) == pytest.approx(2)


def test_nothing_done_is_no_estimate():
    assert progress.seconds_left(5.0, 0.0, 10.0) is None
    assert progress.CostProgress([1.0, 1.0]).state(5.0) == "0/2"


def test_what_is_shown_is_items_how_fast_and_how_long():
    course = progress.CostProgress([1.0] * 41)
    course.done = 12
    assert course.state(90.0) == "12/41, 7.5 s each, 4 min left"
    assert course.state(4.0) == "12/41, 3.0/s, 10 s left"


def test_lines_say_so_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with progress.Log("stage").bar("observed", [1.0, 3.0]) as advance:
        advance()
        advance()
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"stage: observed 1/2, .+, .+ left", lines[0])
    assert re.fullmatch(r"stage: observed: 2 in .+ s \(.+\)", lines[1])
    assert len(lines) == 2
