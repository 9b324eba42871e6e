"""Check that items in parallel give what they give alone."""

import threading
from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import TOGETHER, deal, map_items, run_tasks
from wor.errors import UserError

TEXTS = [list(range(7 + index, 31 + 2 * index)) for index in range(9)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2  # the workers have their own number
    torch.set_num_threads(before)


@pytest.fixture
def many_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
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


def test_items_of_one_kind_share_a_pass_on_a_device_and_none_on_a_cpu():
    kinds = ["a", "b"] * TOGETHER + ["a"]
    cpu, cuda = (deal(SimpleNamespace(device=torch.device(name)), kinds) for name in ("cpu", "cuda"))
    assert cpu == [[index] for index in range(len(kinds))]
    assert [len(group) for group in cuda] == [TOGETHER, 1, TOGETHER]
    assert all(len({kinds[index] for index in group}) == 1 for group in cuda)
    assert sorted(chain(*cuda)) == list(range(len(kinds)))


def test_tasks_share_one_queue_so_that_all_threads_have_work_to_the_end(lm, many_threads):
    """Simulate 8 threads and tasks of 5 items: each item waits until 8 are at work."""
    barrier = threading.Barrier(8, timeout=20)

    def work(lm, item):
        barrier.wait()
        return item

    def task(items):
        results = yield work, items
        return results == list(items)

    tasks = [(index, task(range(5 * index, 5 * index + 5))) for index in range(8)]
    assert sorted(run_tasks(lm, tasks, 40)) == [(index, True) for index in range(8)]


def test_a_failing_item_ends_all_tasks(lm, two_threads):
    begun = []

    def work(lm, item):
        begun.append(item)
        if item == 3:
            raise UserError("memory", "one item does not fit", "Free memory")

    def task(items):
        yield work, items

    with pytest.raises(UserError, match="one item"):
        list(run_tasks(lm, [(index, task(range(4 * index, 4 * index + 4))) for index in range(100)], 400))
    assert len(begun) < 20


@pytest.mark.parametrize(("items", "each"), [(1, 8), (3, 2), (8, 1), (40, 1)])
def test_few_items_have_several_threads_each(lm, many_threads, items, each):
    def work(lm, item):
        return torch.get_num_threads()

    def task(count):
        return (yield work, range(count))

    ((_, threads),) = run_tasks(lm, [("only", task(items))], items)
    assert threads == [each] * items
