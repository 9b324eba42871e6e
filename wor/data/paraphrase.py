"""Paraphrases of a prompt that keep every number and every name."""

from __future__ import annotations

import difflib
import re

from wor.config.params import Paraphrase
from wor.data import items
from wor.data.lexicon import SUBSTITUTIONS

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_PATTERN = re.compile(
    r"(?<![\w'’-])(" + "|".join(re.escape(key) for key in sorted(SUBSTITUTIONS, key=len, reverse=True)) + r")(?![\w'’-])",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def changed_share(original: str, other: str) -> float:
    """Share of ``original``'s words that have no counterpart, in order, in ``other``. In [0, 1]."""
    a, b = words(original.lower()), words(other.lower())
    if not a:
        return 0.0
    same = sum(block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
    return 1 - same / len(a)


def numbers_and_names(text: str) -> tuple[list[str], list[str]]:
    """What a paraphrase must keep: every token with a digit, and every capitalised word inside a sentence."""
    numbers = re.findall(r"\S*\d\S*", text)
    names = []
    for sentence in re.split(r"(?<=[.!?:])\s+|\n", text):
        names += [word for word in words(sentence)[1:] if word[0].isupper()]
    return numbers, names


def substitute(text: str, target: int, key: tuple[object, ...]) -> str:
    """Swap lexicon phrases of ``text``, in an order given by ``key``, until ``target`` words have changed.

    A phrase is swapped wherever it stands, so that two mentions of a thing stay mentions of one thing.
    A capitalised phrase inside a sentence may be a name and is left alone.
    """
    found = {}
    for match in _PATTERN.finditer(text):
        if _is_plain(text, match):
            found.setdefault(match[0].lower(), []).append(match.start())
    chosen, changed = set(), 0
    for phrase in sorted(found, key=lambda phrase: items.hash_to_unit("paraphrase", *key, phrase)):
        if changed >= target:
            break
        chosen.add(phrase)
        changed += len(words(phrase)) * len(found[phrase])

    def swap(match: re.Match) -> str:
        if match[0].lower() not in chosen or not _is_plain(text, match):
            return match[0]
        new = SUBSTITUTIONS[match[0].lower()]
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return _PATTERN.sub(swap, text)


def _is_plain(text: str, match: re.Match) -> bool:
    """Lower-case, or capitalised only because a sentence begins there."""
    if match[0] == match[0].lower():
        return True
    before = text[: match.start()].rstrip(" ")
    return match[0][1:] == match[0][1:].lower() and (not before or before[-1] in ".!?\n:")


def make_paraphrases(
    identifier: str, body: str, frames: list[str], assemble: callable, settings: Paraphrase
) -> tuple[list[str], list[float], str]:
    """``settings.n`` paraphrases of ``assemble(frames[0], body)``, their strengths, and why there is none.

    Each takes another frame (the same ones for both classes) and as many substitutions in the body as
    bring the share of changed words to the target. One that changes a number or a name, or less than
    the least share, is dropped.
    """
    original = assemble(frames[0], body)
    kept, shares = [], []
    for index, frame in enumerate(frames[1 : settings.n + 1], 1):
        reframed = assemble(frame, body)
        missing = settings.target_share - changed_share(original, reframed)
        target = round(missing * len(words(original)))
        candidate = assemble(frame, substitute(body, target, (identifier, index)))
        share = changed_share(original, candidate)
        if share >= settings.min_share and numbers_and_names(candidate) == numbers_and_names(original):
            kept.append(candidate)
            shares.append(share)
    reason = "" if kept else "no paraphrase kept every number and name and changed enough words"
    return kept, shares, reason
