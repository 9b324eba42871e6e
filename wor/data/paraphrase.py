"""Paraphrase prompts without changing a number or a name."""

import difflib
import re
from collections import Counter
from collections.abc import Callable

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
    """Return the share, in [0, 1], of ``original``'s words that ``other`` lacks in their order."""
    a, b = words(original.lower()), words(other.lower())
    if not a:
        return 0.0
    same = sum(block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
    return 1 - same / len(a)


def numbers_and_names(text: str) -> tuple[list[str], list[str]]:
    """Return every token with a digit, and every capitalised word inside a sentence."""
    numbers = re.findall(r"\S*\d\S*", text)
    names = []
    for sentence in re.split(r"(?<=[.!?:])\s+|\n", text):
        names += [word for word in words(sentence)[1:] if word[0].isupper()]
    return numbers, names


def substitute(text: str, target: int, key: tuple[object, ...]) -> str:
    """Replace phrases of ``text`` by the lexicon, in an order given by ``key``.

    It stops once ``target`` words have changed. A phrase is replaced everywhere, so that mentions
    of a thing stay the same. A capitalised phrase in a sentence may be a name, so it stays.
    """
    counts = Counter(match[0].lower() for match in _PATTERN.finditer(text) if _is_plain(text, match))
    selected, changed = set(), 0
    for phrase in sorted(counts, key=lambda phrase: items.hash_to_unit("paraphrase", *key, phrase)):
        if changed >= target:
            break
        selected.add(phrase)
        changed += len(words(phrase)) * counts[phrase]

    def swap(match: re.Match) -> str:
        if match[0].lower() not in selected or not _is_plain(text, match):
            return match[0]
        new = SUBSTITUTIONS[match[0].lower()]
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return _PATTERN.sub(swap, text)


def _is_plain(text: str, match: re.Match) -> bool:
    """Return whether a match is lower-case, or capitalised only at the start of a sentence."""
    if match[0] == match[0].lower():
        return True
    before = text[: match.start()].rstrip(" ")
    return match[0][1:] == match[0][1:].lower() and (not before or before[-1] in ".!?\n:")


def make_paraphrases(
    identifier: str, body: str, frames: list[str], assemble: Callable[[str, str], str], settings: Paraphrase
) -> tuple[list[str], list[float], str]:
    """Return paraphrases of ``assemble(frames[0], body)``, their shares of changed words, a reason.

    Each takes another frame, and substitutions up to the target share. One that changes a number or
    a name, or too little, is dropped. The reason says why none is left, and is else empty.
    """
    original = assemble(frames[0], body)
    paraphrases: list[str] = []
    shares: list[float] = []
    for index, frame in enumerate(frames[1 : settings.n + 1], 1):
        reframed = assemble(frame, body)
        missing = settings.target_share - changed_share(original, reframed)
        target = round(missing * len(words(original)))
        candidate = assemble(frame, substitute(body, target, (identifier, index)))
        share = changed_share(original, candidate)
        if share >= settings.min_share and numbers_and_names(candidate) == numbers_and_names(original):
            paraphrases.append(candidate)
            shares.append(share)
    reason = "" if paraphrases else "no paraphrase kept every number and name and changed enough words"
    return paraphrases, shares, reason
