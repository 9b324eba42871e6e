"""Select the generated tokens that the measures use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wor.config.params import Window


@dataclass(frozen=True)
class SelectedWindow:
    """Token offsets ``[start, end)`` in the continuation. ``reason`` says why there is none."""

    start: int
    end: int
    reason: str = ""


def select_window(n_tokens: int, answer_token: int | None, settings: Window) -> SelectedWindow:
    """Select the window of a continuation of ``n_tokens`` tokens, without the end token.

    auto_no_answer takes the last ``size`` tokens before the answer, or before the end if there is
    none. last_n takes the last ``size`` tokens, full takes all. Fewer than ``min`` are no window.
    """
    end = n_tokens if answer_token is None or settings.rule != "auto_no_answer" else min(answer_token, n_tokens)
    start = 0 if settings.rule == "full" else max(0, end - settings.size)
    if end - start < settings.min:
        before = " before the answer" if answer_token is not None and end < n_tokens else ""
        return SelectedWindow(start, end, f"{end - start} tokens generated{before}, fewer than {settings.min}")
    return SelectedWindow(start, end)


def max_window_length(settings: Window, max_new_tokens: int) -> int:
    """Return the number of tokens in the longest possible window."""
    return max_new_tokens if settings.rule == "full" else min(settings.size, max_new_tokens)


def token_at(offset: int, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> int:
    """Return the index of the token with the character at ``offset`` of the decoded ``ids``."""
    return next((index for index in range(len(ids)) if len(decode(ids[: index + 1])) > offset), len(ids))


def token_texts(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[str]:
    """Return each token's part of ``decode(ids)``. A split character belongs to its last token."""
    texts, before = [], ""
    for index in range(len(ids)):
        text = decode(ids[: index + 1])
        if index + 1 < len(ids):
            text = text.rstrip("\ufffd")  # an unfinished character decodes to this
        texts.append(text[len(before) :])
        before = max(before, text, key=len)
    return texts
