"""Groups from a budget, halved when memory runs out. What runs out here is pretended; the errors are torch's own."""

import pytest
import torch

from wor.engine import ablate, memory
from wor.engine.capture import Span, capture
from wor.engine.generate import generate
from wor.errors import UserError
from wor.machine import control_groups
from wor.machine.memory import MAX_AUTO_BUDGET, memory_budget


class Model:
    device = torch.device("cpu")

    def __init__(self, budget):
        self.memory, self.groups = budget, {}


def cannot_allocate():
    """torch's error for an allocation that no machine has."""
    torch.empty(2**60, dtype=torch.uint8)


def test_torch_says_what_is_exhausted_here():
    with pytest.raises(RuntimeError) as caught:
        cannot_allocate()
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert not memory.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_groups_fit_the_budget():
    lm = Model(10 * 2**20)
    assert memory.run_in_batches(lm, "x", 11, 3 * 2**20, lambda group: (group.start, group.stop)) == [
        (0, 3),
        (3, 6),
        (6, 9),
        (9, 11),
    ]
    assert memory.run_in_batches(lm, "y", 5, 2**10, lambda group: group.stop - group.start, most=2) == [2, 2, 1]
    assert lm.groups == {"x": 3, "y": 2}


def test_what_is_larger_than_the_budget_goes_alone():
    assert memory.run_in_batches(Model(2**20), "x", 2, 2**30, lambda group: group.stop) == [1, 2]


def test_a_group_for_which_memory_runs_out_is_halved_and_begun_again():
    lm, tried = Model(2**30), []

    def work(group):
        tried.append(group.stop - group.start)
        if tried[-1] > 3:
            cannot_allocate()
        return list(range(group.start, group.stop))

    found = memory.run_in_batches(lm, "x", 10, 32 * 2**20, work)
    assert [index for group in found for index in group] == list(range(10))
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    assert lm.memory == 2 * 32 * 2**20


def test_halving_goes_down_to_one_also_where_each_is_small():
    lm, tried = Model(2**30), []

    def work(group):
        tried.append(group.stop - group.start)
        if tried[-1] > 1:
            cannot_allocate()

    memory.run_in_batches(lm, "x", 6, 2**20, work)
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    assert lm.memory == memory.MIN_BUDGET


def test_a_halved_budget_stays_halved():
    lm = Model(2**30)

    def work(group):
        if group.stop - group.start > 3:
            cannot_allocate()
        return list(range(group.start, group.stop))

    memory.run_in_batches(lm, "x", 10, 32 * 2**20, work)
    assert memory.run_in_batches(lm, "x", 4, 32 * 2**20, work) == [[0, 1], [2, 3]]  # it stays halved


def test_one_that_does_not_fit_at_all_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="memory: x: one alone, of some 256 MiB, does not fit. Free memory"):
        memory.run_in_batches(Model(2**30), "x", 4, 2**28, lambda group: cannot_allocate())


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match="shapes"):
        memory.run_in_batches(Model(2**30), "x", 4, 2**28, lambda group: torch.ones(2, 3) @ torch.ones(2, 3))


def test_the_budget_says_where_it_comes_from():
    assert memory_budget(1.5, "cpu") == (3 * 2**29, "compute.memory_gib is 1.5")
    chosen, reason = memory_budget(0, "cpu")
    assert memory.MIN_BUDGET <= chosen <= MAX_AUTO_BUDGET
    assert reason.startswith("auto: half of the ")


def test_a_control_groups_limit_counts_where_it_is_nearer_than_the_machines_end(monkeypatch):
    monkeypatch.setattr(control_groups, "memory_left", lambda: 2**30)
    chosen, reason = memory_budget(0, "cpu")
    assert chosen == 2**29
    assert reason == "auto: half of the 1.0 GiB of memory, within the control group's limit, that is free, at most 8"
    monkeypatch.setattr(control_groups, "memory_left", lambda: 2**60)
    assert "control group" not in memory_budget(0, "cpu")[1]


@pytest.fixture
def small(lm):
    """The tiny model with room for one sequence or copy at a time."""
    whole, lm.memory = lm.memory, 1
    yield lm
    lm.memory = whole


def test_results_do_not_depend_on_the_budget(lm, small):
    ids, window = list(range(3, 33)), Span(18, 27)
    stand_in = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    prompts, names = [ids[:5], ids[3:15], ids[7:16]], ["a", "b", "c"]

    def both():
        kl = ablate.layer_kl(lm, capture(lm, ids, window), "mlp", stand_in)
        return kl, generate(lm, prompts, names, temperatures=[0.8] * 3, max_new_tokens=10, seed=0)

    lm.groups.clear()
    alone, said = both()
    assert lm.groups == {"ablate layers": 1, "generate": 1}
    lm.memory = 2**30
    together, said_together = both()
    assert lm.groups == {"ablate layers": 4, "generate": 3}
    assert torch.allclose(alone, together, rtol=1e-4, atol=1e-6)
    assert said == said_together


def test_generation_goes_on_in_halves_when_memory_runs_out(lm, monkeypatch):
    ids = list(range(3, 33))
    prompts, names = [ids[:4], ids[:5], ids[:6], ids[:7]], ["a", "b", "c", "d"]
    options = {"temperatures": [0.8] * 4, "max_new_tokens": 10, "seed": 0}
    expected, plain, done = generate(lm, prompts, names, **options), lm.hf.generate, []

    def limited(input_ids, logits_processor, **kwargs):
        if len(input_ids) > 2:  # after some steps, which the progress then takes back
            for _ in range(3):
                logits_processor(input_ids, torch.zeros(len(input_ids), 320))
            cannot_allocate()
        return plain(input_ids=input_ids, logits_processor=logits_processor, **kwargs)

    monkeypatch.setattr(lm.hf, "generate", limited)
    whole = lm.memory
    try:
        assert generate(lm, prompts, names, **options, advance=done.append) == expected
        assert lm.memory < whole
    finally:
        lm.memory = whole
    assert sum(done) == pytest.approx(4)
