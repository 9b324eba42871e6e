import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM

from tests.helpers.tiny_models import make
from wor.engine.capture import registered_hooks
from wor.engine.generate import generate, gumbel
from wor.engine.model import LM

PROMPTS = [[5, 9, 12], [7, 7, 8, 30, 41, 2, 90, 17], [100, 3], [44, 45, 46, 47, 48]]
NAMES = ["a", "b", "c", "d"]


def run(lm, prompts=PROMPTS, names=NAMES, **changes):
    options = {"temperature": 0.9, "max_new_tokens": 12, "seed": 3, "max_batch_size": 4} | changes
    return generate(lm, prompts, names, temperatures=[options.pop("temperature")] * len(prompts), **options)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_tokens_do_not_depend_on_batch_size_or_padding(lm, temperature):
    in_one_batch = run(lm, temperature=temperature)
    one_by_one = [run(lm, [prompt], [name], temperature=temperature)[0] for prompt, name in zip(PROMPTS, NAMES, strict=True)]
    assert in_one_batch == one_by_one
    assert run(lm, temperature=temperature, max_batch_size=3) == in_one_batch


def test_prompts_in_bfloat16_are_unembedded_from_contiguous_memory():
    """Otherwise a CPU copies the unembedding once per row: 25 GiB for 48 rows of SmolLM3."""
    lm, contiguous = LM(make("llama", torch.bfloat16)), []
    with registered_hooks(
        (lm.unembed.register_forward_hook, lambda module, args, out: contiguous.append(args[0].is_contiguous()))
    ):
        run(lm, max_new_tokens=3)
    assert contiguous == [True] * 3


def test_each_row_has_its_own_temperature(lm):
    mixed = generate(lm, PROMPTS, NAMES, temperatures=[0.0, 0.9, 3.0, 0.0], max_new_tokens=12, seed=3)
    for row, temperature in enumerate([0.0, 0.9, 3.0, 0.0]):
        assert mixed[row] == run(lm, temperature=temperature)[row]


def test_tokens_do_not_depend_on_order(lm):
    backwards = run(lm, PROMPTS[::-1], NAMES[::-1])
    assert backwards[::-1] == run(lm)


@pytest.mark.parametrize(("threads", "largest"), [(1, 20), (2, 10), (5, 4), (8, 4)])
def test_groups_that_run_at_once_give_the_tokens_of_one(lm, threads, largest):
    """Fewer than 4 rows make no group, so eight threads have five of them."""
    prompts = [list(range(3 + index, 9 + 2 * index)) for index in range(20)]
    names, done, before = list(map(str, range(20))), [], torch.get_num_threads()
    one_by_one = [run(lm, [prompt], [name])[0] for prompt, name in zip(prompts, names, strict=True)]
    torch.set_num_threads(threads)
    lm.largest_batches.clear()
    try:
        assert run(lm, prompts, names, max_batch_size=64, advance=done.append) == one_by_one
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert lm.largest_batches["generate"] == largest
    assert sum(done) == pytest.approx(20)


def test_seed_name_and_temperature_matter(lm):
    base = run(lm)
    assert run(lm, seed=4) != base
    assert run(lm, names=["e", "f", "g", "h"]) != base
    assert run(lm, temperature=5.0) != base


def test_temperature_zero_is_greedy_decoding_of_transformers(lm, tiny_folder):
    reference = AutoModelForCausalLM.from_pretrained(tiny_folder)
    for prompt, continuation in zip(PROMPTS, run(lm, temperature=0.0), strict=True):
        ids = torch.tensor([prompt])
        expected = reference.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert continuation == expected[0, len(prompt) :].tolist()


def test_gumbel_noise_depends_on_its_key_alone():
    assert np.array_equal(gumbel(1, "x", 5, 100), gumbel(1, "x", 5, 100))
    others = [gumbel(2, "x", 5, 100), gumbel(1, "y", 5, 100), gumbel(1, "x", 6, 100)]
    for other in others:
        assert abs(np.corrcoef(gumbel(1, "x", 5, 100), other)[0, 1]) < 0.4


def test_gumbel_noise_is_standard_gumbel():
    draws = np.concatenate([gumbel(0, "item", step, 2000) for step in range(10)])
    assert stats.kstest(draws, stats.gumbel_r.cdf).pvalue > 0.001


def test_gumbel_max_samples_from_the_softmax():
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    draws = [int(np.argmax(logits + gumbel(0, f"item {index}", 0, 4))) for index in range(4000)]
    assert stats.chisquare(np.bincount(draws, minlength=4), 4000 * np.exp(logits)).pvalue > 0.001


def test_a_continuation_stops_at_its_end_token(lm):
    continuations = run(lm, temperature=3.0, max_new_tokens=400)
    ended = [ids for ids in continuations if len(ids) < 400]
    assert ended, "no continuation ended; the test shows nothing"
    for ids in ended:
        assert ids[-1] in lm.end_tokens
        assert not set(ids[:-1]) & lm.end_tokens
