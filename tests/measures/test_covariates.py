import math
import re

import numpy as np
import pandas as pd
import pytest

from wor.data.windows import completes_repeat, repeat_share
from wor.measures.covariates import WINDOW_COVARIATES, bigram_share, digit_share, window_covariates, window_mean


def stood_before(ids, end, n):
    """Search the tokens before the n-gram's own end, by brute force, for the same n-gram."""
    gram = list(ids[end - n + 1 : end + 1])
    return len(gram) == n and any(list(ids[first : first + n]) == gram for first in range(end - n + 1))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n", [2, 4])
def test_repetitions_equal_a_search_by_brute_force(seed, n):
    ids = np.random.default_rng(seed).integers(0, 3, 60).tolist()
    assert completes_repeat(ids, n) == [stood_before(ids, end, n) for end in range(len(ids))]


@pytest.mark.parametrize("seed", range(20))
def test_the_shares_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    prompt, continuation = rng.integers(0, 4, 30).tolist(), rng.integers(0, 4, 20).tolist()
    start, end = sorted(rng.choice(21, 2, replace=False))
    four = [stood_before(prompt + continuation, 30 + index, 4) for index in range(start, end)]
    two = [stood_before(continuation, index, 2) for index in range(start, end)]
    assert repeat_share(prompt, continuation, start, end) == pytest.approx(np.mean(four))
    assert bigram_share(continuation, start, end) == pytest.approx(np.mean(two))


def test_what_copies_or_loops_repeats_and_what_is_new_does_not():
    passage = list(range(100, 140))
    copied, loop, new = passage[5:25], [7, 8, 9] * 7, list(range(20))
    assert repeat_share(passage, copied, 0, 20) == 17 / 20  # the first 3 tokens end no 4-gram of the passage
    assert repeat_share(passage, copied, 3, 20) == 1
    assert bigram_share(copied, 0, 20) == 0  # the prompt does not count
    assert repeat_share(passage, loop, 6, 21) == bigram_share(loop, 4, 21) == 1
    assert repeat_share(passage, new, 0, 20) == bigram_share(new, 0, 20) == 0


def test_the_digits_are_those_of_the_window_alone():
    tokens = ["12", " apples", " and", " 3", "45"]
    text = "".join(tokens[1:4])
    assert digit_share(tokens, 1, 4) == len(re.findall(r"[0-9]", text)) / len(text)
    assert math.isnan(digit_share(["", ""], 0, 2))


def test_an_empty_window_has_no_value():
    assert all(map(math.isnan, (window_mean([1.0], 1, 1), repeat_share([1], [2], 1, 1), bigram_share([2], 1, 1))))
    row = {"prompt_ids": [1, 2], "continuation_ids": [3], "window_start": 3, "window_end": 3, "tokens": ["a"]}
    frame = pd.DataFrame([row | {"token_logprob": [-1.0], "token_entropy": [1.0]}])
    columns = window_covariates(frame)
    assert list(columns) == list(WINDOW_COVARIATES)
    assert all(math.isnan(value) for (value,) in columns.values())
