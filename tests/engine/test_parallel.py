"""Check that items in parallel give what they give alone."""

import threading

import pytest
import torch

from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.errors import UserError

TEXTS = [list(range(7 + index, 31 + 2 * index)) for index in range(9)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2  # the workers have their own number
    torch.set_num_threads(before)


def entropy(lm, ids):
    assert torch.get_num_threads() == 1
    return capture(lm, ids, Span(len(ids) - 8, len(ids))).entropy


def test_results_equal_those_of_one_thread_in_the_order_given(lm, two_threads):
    advanced = []
    in_parallel = map_items(lm, entropy, TEXTS, lambda: advanced.append(threading.current_thread()))
    assert advanced == [threading.main_thread()] * len(TEXTS)  # a progress bar is not thread-safe
    torch.set_num_threads(1)
    one_by_one = [entropy(lm, ids) for ids in TEXTS]
    torch.set_num_threads(2)
    assert all(map(torch.equal, in_parallel, one_by_one))


def test_two_items_run_at_once_on_the_same_weights_with_their_own_hooks(lm, two_threads):
    barrier, models = threading.Barrier(2, timeout=20), []

    def hooked(lm, ids):
        lengths = []
        with lm.norm.register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape[1])):
            barrier.wait()
            lm.base(torch.tensor([ids]), use_cache=False)
            barrier.wait()
        models.append(lm)
        return lengths

    assert map_items(lm, hooked, TEXTS[:4], lambda: None) == [[len(ids)] for ids in TEXTS[:4]]
    assert len(set(map(id, models))) == 2
    for model in models:
        weights = zip(model.hf.parameters(), lm.hf.parameters(), strict=True)
        assert all(copied.data_ptr() == original.data_ptr() for copied, original in weights)


def test_the_first_error_is_raised_and_items_not_begun_are_left_out(lm, two_threads):
    started = []

    def failing(lm, ids):
        started.append(ids)
        raise UserError("memory", "one item does not fit", "Free memory")

    with pytest.raises(UserError, match="one item"):
        map_items(lm, failing, TEXTS * 20, lambda: None)
    assert len(started) < len(TEXTS) * 20


def test_the_memory_is_divided_and_a_share_that_was_halved_halves_it(lm, two_threads):
    model = LM(lm.hf, lm.tokenizer, memory=2**24 + 1)

    def spend(model, ids):
        model.largest_batches["ablate layers"] = len(ids)
        if ids == TEXTS[3]:
            model.memory //= 2
        return model.budget[0]

    assert map_items(model, spend, TEXTS[:3], lambda: None) == [2**23] * 3
    assert model.memory == 2**24 + 1
    map_items(model, spend, TEXTS[:4], lambda: None)
    assert (model.memory, model.largest_batches) == (2**23, {"ablate layers": len(TEXTS[3])})
