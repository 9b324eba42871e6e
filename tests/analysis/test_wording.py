import math

import numpy as np
import pytest

from tests.helpers.planted import table as planted
from wor.analysis import wording
from wor.analysis.evaluation import Evaluation
from wor.data.build import assemble_prompt
from wor.data.items import body_of


def texts(frame, telling):
    """Return 12 words per item of one list; with a probability of ``telling`` one of the class."""
    rng = np.random.default_rng(0)
    same = ["tree", "house", "river", "stone", "cloud", "bread"]
    return {
        name: " ".join([*rng.choice(same, 12), ("sum" if role == "reasoning" else "town") if rng.uniform() < telling else "tree"])
        for name, role in zip(frame["item_id"], frame["role"], strict=True)
    }


def test_words_are_judged_and_so_is_the_same_fit_to_shuffled_classes(quick):
    frame = planted(effect=1.0, n=80)
    result = wording.analyse_wording(Evaluation(frame, quick), {"body": texts(frame, 0.0), "continuation": texts(frame, 0.8)})
    assert result["body"]["auroc"]["low"] < 0.5
    assert result["continuation"]["auroc"]["low"] > 0.7
    assert result["continuation"]["control_task"]["value"] == pytest.approx(0.5, abs=0.1)
    assert result["continuation"]["control_task"]["p"] == pytest.approx(1 / 21)
    assert result["body"]["control_task"]["p"] > 0.05


def test_a_score_that_only_knows_the_words_is_nothing_given_them(quick):
    frame = planted(n=160)
    continuations = texts(frame, 0.7)
    knows = np.array([text.endswith("sum") * 1.0 - text.endswith("town") for text in continuations.values()])
    rng = np.random.default_rng(1)
    frame = frame.assign(rev=knows + 0.7 * rng.normal(size=160), apl=rng.normal(size=160) + (frame["role"] == "reasoning"))
    given = wording.analyse_wording(Evaluation(frame, quick), {"continuation": continuations})["given_continuation"]
    assert abs(given["rev"]["value"]) < 0.15
    assert given["apl"]["low"] > 0.1


def test_words_that_are_not_there_are_a_reason(quick):
    frame = planted(n=60)
    result = wording.analyse_wording(Evaluation(frame, quick), {"continuation": dict.fromkeys(frame["item_id"], "")})
    for entry in (*result["continuation"].values(), *result["given_continuation"].values()):
        assert math.isnan(entry["value"])
        assert entry["reason"] == "the texts are empty"
    few = wording.analyse_wording(Evaluation(planted(n=12), quick), {"body": {}})
    assert few["body"]["auroc"]["reason"].startswith("fewer than 10 items")


@pytest.mark.parametrize("instruction", ["", "Retell it."])
def test_a_body_is_what_the_prompt_was_made_of(instruction):
    assert body_of(
        assemble_prompt("Here is a task.", "A text.\n\nOf two parts.", instruction), "Here is a task.", instruction
    ) == ("A text.\n\nOf two parts.")
