"""What is noted of a continuation: where its answer stands among its tokens."""

import pytest

from tests.helpers.root import ROOT
from wor import storage
from wor.data import answers, windows
from wor.data.items import Item
from wor.errors import UserError
from wor.pipeline import observation


@pytest.mark.parametrize(
    "output", storage.read_jsonl(ROOT / "tests" / "fixtures" / "outputs.jsonl"), ids=lambda output: output["item"]
)
def test_an_answers_tokens_hold_it_and_the_window_ends_before_them(lm, settings, output):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": "reasoning", "split": "evaluation", "paraphrases": [], "paraphrase_shares": []}
    item = Item(**about, answer_kind=output["kind"])
    ids = lm.encode(output["text"]) + sorted(lm.end_tokens)[:1] * output["finished"]
    response = observation._parse_response(lm, item, [0], ids, settings)
    (start, end), tokens = response.closing_span, windows.token_texts(response.sequence.continuation, lm.decode)
    assert "".join(tokens) == output["text"]
    if output["stated"] is None:
        assert (start, end, response.answer) == (len(tokens), len(tokens), "")
    else:
        assert response.answer == output["stated"]
        assert answers.find_answer("".join(tokens[start:end]), output["kind"], finished=True).value == output["stated"]
        assert response.sequence.end <= start < end


@pytest.mark.parametrize("role", ["reasoning", "control"])
@pytest.mark.parametrize("split", ["calibration", "evaluation"])
def test_a_window_that_loops_or_copies_is_excluded_in_both_classes_and_splits(lm, settings, role, split):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": role, "split": split, "paraphrases": [], "paraphrase_shares": []}
    item = Item(**about, answer_kind="none")
    passage = lm.encode("Somalia is a country in the east of Africa, and Mogadishu is the largest of its towns.")
    loop, new = passage[:8] * 6, list(range(100, 148))
    reasons = [
        observation._parse_response(lm, item, prompt, ids, settings).exclusion_reason
        for prompt, ids in (([0], loop), (passage, passage), ([0], new), (passage, new))
    ]
    why = "over 50% of the window repeats what stood before"
    assert reasons == [why, why, "", ""]
    looped = observation._parse_response(lm, item, [0], loop, settings)
    with pytest.raises(UserError, match=rf"1 of 3 have a window \(2: {why}\)"):
        usable = observation._parse_response(lm, item, [0], new, settings)
        other = item.model_copy(update={"role": "control" if role == "reasoning" else "reasoning"})
        others = [observation._parse_response(lm, other, [0], new, settings)] * 2
        observation.responses_with_window([looped, looped, usable, *others])


def test_a_controls_window_ends_before_its_closing_phrase(lm, settings):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": "control", "split": "evaluation", "paraphrases": [], "paraphrase_shares": [], "closing": "That is all"}
    item = Item(**about, answer_kind="none")
    response = observation._parse_response(lm, item, [0], lm.encode("It is a town in Italy. That is all. It is"), settings)
    tokens = windows.token_texts(response.sequence.continuation, lm.decode)
    assert "".join(tokens[slice(*response.closing_span)]).strip() == "That is all"
    assert response.sequence.end == response.closing_span[0]
    assert "That" not in "".join(tokens[response.sequence.start : response.sequence.end])
    assert response.answer == ""
