"""Which generated tokens the measures look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wor.config.params import Window


@dataclass(frozen=True)
class SelectedWindow:
    """Token offsets within the continuation, ``[start, end)``; ``reason`` says why there is no window."""

    start: int
    end: int
    reason: str = ""


def select_window(n_tokens: int, answer_token: int | None, rule: Window) -> SelectedWindow:
    """The window of a continuation of ``n_tokens`` (end token not counted).

    auto_no_answer: the last ``size`` tokens before the answer, or before the end where none is stated.
    last_n: the last ``size`` tokens. full: all of them. Fewer than ``min``: no window, with the reason.
    """
    end = n_tokens if answer_token is None or rule.rule != "auto_no_answer" else min(answer_token, n_tokens)
    start = 0 if rule.rule == "full" else max(0, end - rule.size)
    if end - start < rule.min:
        before = " before the answer" if answer_token is not None and end < n_tokens else ""
        return SelectedWindow(start, end, f"{end - start} tokens generated{before}, fewer than {rule.min}")
    return SelectedWindow(start, end)


def max_window_length(rule: Window, room: int) -> int:
    """Tokens of the longest window that a continuation of at most ``room`` tokens can have."""
    return room if rule.rule == "full" else min(rule.size, room)


def token_at(offset: int, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> int:
    """Index of the token in which the character at ``offset`` of the decoded ``ids`` stands."""
    for index in range(len(ids)):
        if len(decode(ids[: index + 1])) > offset:
            return index
    return len(ids)


def token_texts(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[str]:
    """The text that each token adds to those before it; together they are ``decode(ids)``.

    Of a character that several tokens make, the last has it, and the others have nothing.
    """
    found, before = [], ""
    for index in range(len(ids)):
        text = decode(ids[: index + 1])
        if index + 1 < len(ids):
            text = text.rstrip("\ufffd")  # what an unfinished character decodes to
        found.append(text[len(before) :])
        before = max(before, text, key=len)
    return found
