"""Check batches that fit a budget and halve when memory runs out. The errors are torch's own."""

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
        self.memory, self.largest_batches = budget, {}


def cannot_allocate():
    """Raise torch's error for more memory than any machine has."""
    torch.empty(2**60, dtype=torch.uint8)


def test_torchs_error_on_this_machine_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        cannot_allocate()
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert not memory.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_batches_fit_the_budget():
    lm = Model(10 * 2**20)
    assert memory.run_in_batches(lm, "x", 11, 3 * 2**20, lambda batch: (batch.start, batch.stop)) == [
        (0, 3),
        (3, 6),
        (6, 9),
        (9, 11),
    ]
    assert memory.run_in_batches(lm, "y", 5, 2**10, lambda batch: batch.stop - batch.start, max_batch_size=2) == [2, 2, 1]
    assert lm.largest_batches == {"x": 3, "y": 2}


def test_an_item_larger_than_the_budget_is_a_batch_by_itself():
    assert memory.run_in_batches(Model(2**20), "x", 2, 2**30, lambda batch: batch.stop) == [1, 2]


def test_a_batch_that_runs_out_of_memory_is_halved_and_begun_again():
    lm, tried = Model(2**30), []

    def work(batch):
        tried.append(batch.stop - batch.start)
        if tried[-1] > 3:
            cannot_allocate()
        return list(range(batch.start, batch.stop))

    batches = memory.run_in_batches(lm, "x", 10, 32 * 2**20, work)
    assert [index for batch in batches for index in batch] == list(range(10))
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    assert lm.memory == 2 * 32 * 2**20


def test_halving_goes_down_to_one_also_where_each_is_small():
    lm, tried = Model(2**30), []

    def work(batch):
        tried.append(batch.stop - batch.start)
        if tried[-1] > 1:
            cannot_allocate()

    memory.run_in_batches(lm, "x", 6, 2**20, work)
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    assert lm.memory == memory.MIN_BUDGET


def test_a_halved_budget_stays_halved():
    lm = Model(2**30)

    def work(batch):
        if batch.stop - batch.start > 3:
            cannot_allocate()
        return list(range(batch.start, batch.stop))

    memory.run_in_batches(lm, "x", 10, 32 * 2**20, work)
    assert memory.run_in_batches(lm, "x", 4, 32 * 2**20, work) == [[0, 1], [2, 3]]


def test_one_that_does_not_fit_at_all_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="memory: x: one item of about 256 MiB does not fit. Free memory"):
        memory.run_in_batches(Model(2**30), "x", 4, 2**28, lambda batch: cannot_allocate())


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match="shapes"):
        memory.run_in_batches(Model(2**30), "x", 4, 2**28, lambda batch: torch.ones(2, 3) @ torch.ones(2, 3))


def test_the_budget_says_where_it_comes_from():
    assert memory_budget(1.5, "cpu") == (3 * 2**29, "compute.memory_gib is 1.5")
    budget, reason = memory_budget(0, "cpu")
    assert memory.MIN_BUDGET <= budget <= MAX_AUTO_BUDGET
    assert reason.startswith("auto: half of the ")


def test_a_control_groups_limit_counts_where_it_is_nearer_than_the_machines_end(monkeypatch):
    monkeypatch.setattr(control_groups, "memory_left", lambda: 2**30)
    budget, reason = memory_budget(0, "cpu")
    assert budget == 2**29
    assert reason == "auto: half of the 1.0 GiB of memory, within the control group's limit, that is free, at most 8"
    monkeypatch.setattr(control_groups, "memory_left", lambda: 2**60)
    assert "control group" not in memory_budget(0, "cpu")[1]


@pytest.fixture
def small(lm):
    """Return the tiny model with memory for one sequence or copy at a time."""
    budget, lm.memory = lm.memory, 1
    yield lm
    lm.memory = budget


def test_results_do_not_depend_on_the_budget(lm, small):
    ids, window = list(range(3, 33)), Span(18, 27)
    replacement = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    prompts, names = [ids[:5], ids[3:15], ids[7:16]], ["a", "b", "c"]

    def both():
        kl = ablate.layer_kl(lm, capture(lm, ids, window), "mlp", replacement)
        return kl, generate(lm, prompts, names, temperatures=[0.8] * 3, max_new_tokens=10, seed=0)

    lm.largest_batches.clear()
    kl_one_by_one, tokens_one_by_one = both()
    assert lm.largest_batches == {"ablate layers": 1, "generate": 1}
    lm.memory = 2**30
    kl, tokens = both()
    assert lm.largest_batches == {"ablate layers": 4, "generate": 3}
    assert torch.allclose(kl_one_by_one, kl, rtol=1e-4, atol=1e-6)
    assert tokens_one_by_one == tokens


def test_generation_goes_on_in_halves_when_memory_runs_out(lm, monkeypatch):
    ids = list(range(3, 33))
    prompts, names = [ids[:4], ids[:5], ids[:6], ids[:7]], ["a", "b", "c", "d"]
    options = {"temperatures": [0.8] * 4, "max_new_tokens": 10, "seed": 0}
    expected, plain, done = generate(lm, prompts, names, **options), lm.hf.generate, []

    def limited(input_ids, logits_processor, **kwargs):
        if len(input_ids) > 2:  # after some steps, which the progress then takes back
            for step in range(3):
                ids = torch.nn.functional.pad(input_ids, (0, step))
                logits_processor(ids, torch.zeros(len(ids), 320))
            cannot_allocate()
        return plain(input_ids=input_ids, logits_processor=logits_processor, **kwargs)

    monkeypatch.setattr(lm.hf, "generate", limited)
    budget = lm.memory
    try:
        assert generate(lm, prompts, names, **options, advance=done.append) == expected
        assert lm.memory < budget
    finally:
        lm.memory = budget
    assert min(done) < 0
    assert sum(done) == pytest.approx(4)
