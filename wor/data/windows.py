"""Select the generated tokens that the measures use."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wor.config.params import Window

REPEATED_TOKENS = 4  # what `repeat_share` calls a repetition; shorter ones are common in any text


@dataclass(frozen=True)
class SelectedWindow:
    """Token offsets ``[start, end)`` in the continuation. ``reason`` says why there is none."""

    start: int
    end: int
    reason: str = ""


def select_window(n_tokens: int, n_before_closing: int, settings: Window) -> SelectedWindow:
    """Select the window of a continuation of ``n_tokens`` tokens, without the end token.

    ``n_before_closing`` of them stand before the closing statement (`answers.find_closing`), all
    where there is none. auto_no_answer takes the last ``size`` of these, fixed takes ``size`` of
    these from number ``first`` on. last_n takes the last ``size`` of all tokens, full takes all.
    Fewer than ``min`` are no window.
    """
    end = n_before_closing if settings.rule in ("auto_no_answer", "fixed") else n_tokens
    if settings.rule == "fixed":
        end = min(end, settings.first + settings.size)
        start = min(end, settings.first)
    else:
        start = 0 if settings.rule == "full" else max(0, end - settings.size)
    if end - start < settings.min:
        before = " before the closing statement" if n_before_closing < n_tokens and end <= n_before_closing else ""
        after = f" from token {settings.first} on" if settings.rule == "fixed" else ""
        return SelectedWindow(start, end, f"{end - start} tokens generated{after}{before}, fewer than {settings.min}")
    return SelectedWindow(start, end)


def why_repetitive(share: float, settings: Window) -> str:
    """Return why a window of this `repeat_share` is left out; empty where it is not."""
    return f"over {settings.max_repeat:.0%} of the window repeats what stood before" if share > settings.max_repeat else ""


def max_window_length(settings: Window, max_new_tokens: int) -> int:
    """Return the number of tokens in the longest possible window."""
    if settings.rule == "full":
        return max_new_tokens
    return max(0, min(settings.size, max_new_tokens - (settings.first if settings.rule == "fixed" else 0)))


def completes_repeat(ids: Sequence[int], n: int) -> list[bool]:
    """Return whether each token ends an n-gram that ended at an earlier token too.

    The two may overlap, as they do in a loop shorter than n tokens. The first n - 1 tokens end
    none.
    """
    seen: set[tuple[int, ...]] = set()
    repeats = [False] * len(ids)
    for end in range(n, len(ids) + 1):
        gram = tuple(ids[end - n : end])
        repeats[end - 1] = gram in seen
        seen.add(gram)
    return repeats


def repeat_share(prompt: Sequence[int], continuation: Sequence[int], start: int, end: int) -> float:
    """Return the share of the window's tokens that complete a 4-gram which stood before.

    It stood in the prompt or in the continuation: the model copies, or loops. The window is
    ``[start, end)`` of the continuation. In [0, 1]; NaN for an empty window.
    """
    repeats = completes_repeat([*prompt, *continuation], REPEATED_TOKENS)[len(prompt) :][start:end]
    return sum(repeats) / len(repeats) if repeats else math.nan


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
