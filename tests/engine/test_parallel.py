"""Items side by side give what they give alone."""

import threading

import pytest
import torch

from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.errors import UserError

TEXTS = [list(range(7 + place, 31 + 2 * place)) for place in range(9)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2  # what runs beside has its own number
    torch.set_num_threads(before)


def entropy(lm, ids):
    assert torch.get_num_threads() == 1
    return capture(lm, ids, Span(len(ids) - 8, len(ids))).entropy


def test_each_finds_what_it_finds_alone_in_the_order_given(lm, two_threads):
    advanced = []
    found = map_items(lm, entropy, TEXTS, lambda: advanced.append(threading.current_thread()))
    assert advanced == [threading.main_thread()] * len(TEXTS)  # a progress bar is not for several threads
    torch.set_num_threads(1)
    alone = [entropy(lm, ids) for ids in TEXTS]
    torch.set_num_threads(2)
    assert all(map(torch.equal, found, alone))


def test_two_are_there_at_once_on_the_same_weights_with_hooks_of_their_own(lm, two_threads):
    together, seen = threading.Barrier(2, timeout=20), []

    def hooked(lm, ids):
        heard = []
        with lm.norm.register_forward_pre_hook(lambda module, args: heard.append(args[0].shape[1])):
            together.wait()
            lm.base(torch.tensor([ids]), use_cache=False)
            together.wait()
        seen.append(lm)
        return heard

    assert map_items(lm, hooked, TEXTS[:4], lambda: None) == [[len(ids)] for ids in TEXTS[:4]]
    assert len(set(map(id, seen))) == 2
    for model in seen:
        weights = zip(model.hf.parameters(), lm.hf.parameters(), strict=True)
        assert all(mine.data_ptr() == theirs.data_ptr() for mine, theirs in weights)


def test_the_first_failure_comes_out_and_what_was_not_begun_is_left_out(lm, two_threads):
    begun = []

    def failing(lm, ids):
        begun.append(ids)
        raise UserError("memory", "one alone does not fit", "Free memory")

    with pytest.raises(UserError, match="one alone"):
        map_items(lm, failing, TEXTS * 20, lambda: None)
    assert len(begun) < len(TEXTS) * 20


def test_the_memory_is_divided_and_a_share_that_was_halved_halves_it(lm, two_threads):
    model = LM(lm.hf, lm.tokenizer, memory=2**24 + 1)

    def spend(model, ids):
        model.groups["ablate layers"] = len(ids)
        if ids == TEXTS[3]:
            model.memory //= 2
        return model.budget[0]

    assert map_items(model, spend, TEXTS[:3], lambda: None) == [2**23] * 3
    assert model.memory == 2**24 + 1
    map_items(model, spend, TEXTS[:4], lambda: None)
    assert (model.memory, model.groups) == (2**23, {"ablate layers": len(TEXTS[3])})
