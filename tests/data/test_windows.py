import pytest

from wor.config.params import Window
from wor.data.windows import max_window_length, select_window, token_at, token_texts

AUTO = Window(rule="auto_no_answer", size=32, min=4, first=16, max_repeat=1.0)
FIXED = Window(rule="fixed", size=24, min=4, first=16, max_repeat=1.0)


@pytest.mark.parametrize(
    ("n", "closing", "rule", "expected"),
    [
        (64, 64, AUTO, (32, 64)),
        (64, 50, AUTO, (18, 50)),
        (64, 20, AUTO, (0, 20)),
        (10, 10, AUTO, (0, 10)),
        (64, 50, Window(rule="last_n", size=8, min=4, first=16, max_repeat=1.0), (56, 64)),
        (64, 50, Window(rule="full", size=8, min=4, first=16, max_repeat=1.0), (0, 64)),
        (64, 64, FIXED, (16, 40)),
        (64, 30, FIXED, (16, 30)),
    ],
)
def test_where_the_window_is(n, closing, rule, expected):
    window = select_window(n, closing, rule)
    assert (window.start, window.end) == expected
    assert window.reason == ""


@pytest.mark.parametrize(
    ("n", "closing", "rule", "reason"),
    [
        (64, 3, AUTO, "3 tokens generated before the closing statement, fewer than 4"),
        (64, 0, AUTO, "0 tokens generated before the closing statement, fewer than 4"),
        (2, 2, AUTO, "2 tokens generated, fewer than 4"),
        (0, 0, AUTO, "0 tokens generated, fewer than 4"),
        (64, 18, FIXED, "2 tokens generated from token 16 on before the closing statement, fewer than 4"),
        (10, 10, FIXED, "0 tokens generated from token 16 on, fewer than 4"),
    ],
)
def test_a_short_window_has_a_reason(n, closing, rule, reason):
    assert select_window(n, closing, rule).reason == reason


def test_an_offset_is_found_in_its_token(lm):
    text = "So in total there are 12 students. The answer is 12"
    ids = lm.encode(text)
    for offset in range(len(text)):
        token = token_at(offset, ids, lm.decode)
        assert len(lm.decode(ids[:token])) <= offset < len(lm.decode(ids[: token + 1]))
    assert token_at(len(text), ids, lm.decode) == len(ids)


@pytest.mark.parametrize("text", ["So there are 12. The answer is 12", "", "zwölf € → 12 🙂", "cut off: \ufffd", " \n  spaces "])
def test_the_pieces_of_a_text_are_the_whole_of_it(lm, text):
    ids = lm.encode(text)
    texts = token_texts(ids, lm.decode)
    assert len(texts) == len(ids)
    assert "".join(texts) == lm.decode(ids) == text


def test_a_character_of_several_tokens_is_the_last_ones(lm):
    ids = lm.encode("a🙂b")
    texts = token_texts(ids, lm.decode)
    assert texts[0] == "a"
    assert [piece for piece in texts if piece] == ["a", "🙂", "b"]
    assert len(texts) > 3
    assert "".join(token_texts(ids[:3], lm.decode)) == lm.decode(ids[:3])  # ends within it


def test_the_widest_window_is_the_longest_that_any_continuation_has():
    for rule in ("auto_no_answer", "fixed", "last_n", "full"):
        for size, n_tokens in ((8, 20), (20, 8), (20, 24)):
            settings = Window(rule=rule, size=size, min=1, first=6, max_repeat=1.0)
            longest = max(window.end - window.start for window in (select_window(n, n, settings) for n in range(n_tokens + 1)))
            assert max_window_length(settings, n_tokens) == longest
