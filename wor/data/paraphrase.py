"""Paraphrase prompts without changing a number or a name."""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wor.config.params import Paraphrase
from wor.data import items
from wor.data.lexicon import NUMBER_WORDS, OPENERS, PARTICLES, REWORDINGS
from wor.data.reorder import reorderings

ATTEMPTS = 12  # bodies that are tried for one paraphrase
MAX_MOVES = 3  # clauses or members of a list that change places in one body
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_EDGE = r"[\w'’-]"
_OPENERS = OPENERS | {word for entry in REWORDINGS for text in entry for word in re.findall(r"[a-z]{2,}", text)}


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern
    literal: str  # is in every text that the pattern matches
    replacements: list[str]


def _compile(pattern: str, *replacements: str) -> _Rule:
    literal = pattern
    while (shorter := re.sub(r"\([^()]*\)", "", literal)) != literal:
        literal = shorter
    compiled = re.compile(f"(?<!{_EDGE})(?:{pattern})(?!{_EDGE})", re.IGNORECASE)
    return _Rule(compiled, max(re.split("[^a-z -]", literal), key=len), list(replacements))


_RULES = [_compile(*entry) for entry in REWORDINGS]


@dataclass(frozen=True)
class Paraphrased:
    """A paraphrase of a prompt.

    ``share`` is the share of the prompt's words that changed, ``body_share`` that of the body's.
    ``moved_share`` is the part of ``body_share`` whose words only stand elsewhere.
    """

    text: str
    share: float
    body_share: float
    moved_share: float


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def changed_share(original: str, other: str) -> float:
    """Return the share, in [0, 1], of ``original``'s words that ``other`` lacks in their order.

    It is 1 - (longest common subsequence of words) / (words of ``original``), so a word that is
    replaced counts, and a word that is moved counts. Case does not matter.
    """
    a, b = words(original.lower()), words(other.lower())
    return 1 - _common_subsequence(a, b) / len(a) if a else 0.0


def moved_share(original: str, other: str) -> float:
    """Return the share, in [0, `changed_share`], of words that ``other`` has in another order."""
    a, b = words(original.lower()), words(other.lower())
    return ((Counter(a) & Counter(b)).total() - _common_subsequence(a, b)) / len(a) if a else 0.0


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, by Hyyrö's bit-parallel recurrence."""
    positions: dict[str, int] = {}
    for index, word in enumerate(a):
        positions[word] = positions.get(word, 0) | 1 << index
    full = row = (1 << len(a)) - 1
    for word in b:
        matches = row & positions.get(word, 0)
        row = (row + matches | row - matches) & full
    return len(a) - row.bit_count()


def numbers_and_names(text: str, original: str = "") -> tuple[Counter[str], Counter[str]]:
    """Return how often ``text`` has each number, in digits or words, and each name.

    A number in digits keeps its signs and units, but not a sentence's punctuation. A name is a
    capitalised word. A sentence's first word is none if it is one of the lexicon's, or stands in
    small letters in ``original``, or in ``text`` if that is the original.
    """
    plain = _OPENERS | {word for word in words(original or text) if word.islower()}
    numbers = Counter(token.rstrip(".,;:?!") for token in re.findall(r"\S*\d\S*", text))
    numbers += Counter(word for word in words(text.lower()) if word in NUMBER_WORDS)
    names: Counter[str] = Counter()
    text = re.sub(r"['’]s\b", "", text)
    for sentence in re.split(r"(?<=[.!?:])\s+|\n", text):
        first, *rest = words(sentence) or [""]
        names += Counter(word for word in rest if word[0].isupper())
        names += Counter([first] if first[:1].isupper() and first.lower() not in plain else [])
    return numbers, names


def substitute(text: str, target: float, key: tuple[object, ...]) -> str:
    """Replace phrases of ``text`` by the lexicon, chosen and ordered by ``key``.

    It takes a phrase if that brings the number of changed words nearer to ``target``. A phrase is
    replaced wherever its context allows, so that mentions of a thing stay the same. A capitalised
    phrase within a sentence may be a name, so it stays. A replacement that the text has already is
    not taken, so that distinct terms stay distinct.
    """
    lower, changed = text.lower(), 0
    taken: list[tuple[int, int, str]] = []
    matches = _find_phrases(text)
    for pattern in sorted(matches, key=lambda pattern: items.hash_to_unit("paraphrase", *key, pattern)):
        spans, options = matches[pattern]
        if any(start < end_ and start_ < end for start, end in spans for start_, end_, _ in taken):
            continue
        new = options[int(items.hash_to_unit("wording", *key, pattern) * len(options))]
        weight = sum((Counter(words(lower[start:end])) - Counter(words(new))).total() for start, end in spans)
        if abs(changed + weight - target) < abs(changed - target):
            changed += weight
            taken += [(start, end, new) for start, end in spans]
    for start, end, new in sorted(taken, reverse=True):
        text = _replace(text, start, end, new)
    return text


@functools.lru_cache(maxsize=64)
def _find_phrases(text: str) -> dict[str, tuple[list[tuple[int, int]], list[str]]]:
    """Return where each pattern of the lexicon matches, and the replacements that are new."""
    lower, matches = text.lower(), {}
    for rule in _RULES:
        if rule.literal not in lower:
            continue
        spans = [match.span() for match in rule.pattern.finditer(text) if _is_plain(text, match)]
        options = [new for new in rule.replacements if new in PARTICLES or not re.search(rf"\b{new}\b", lower)]
        if spans and options:
            matches[rule.pattern.pattern] = spans, options
    return matches


def _is_plain(text: str, match: re.Match) -> bool:
    """Return whether a match is not quoted, and capitalised at most at the start of a sentence."""
    if text.count('"', 0, match.start()) % 2 or text.count("“", 0, match.start()) > text.count("”", 0, match.start()):
        return False
    if match[0] == match[0].lower():
        return True
    before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip(" ")
    is_first = not before or before[-1] in ".!?:" or "\n" in text[len(before) : match.start()]
    return match[0][1:] == match[0][1:].lower() and is_first and (not after[:1].isupper() or " " in match[0])


def _replace(text: str, start: int, end: int, new: str) -> str:
    """Put ``new`` for ``text[start:end]``, with its capital, and mend an article before it."""
    before = text[:start]
    if text[start].isupper():
        new = new[0].upper() + new[1:]
    article = re.search(r"\b(a|an) $", before, re.IGNORECASE)
    if article:
        before = before[: article.start(1)] + article[1][0] + ("n " if re.match(r"[aeio]|un[^i]|u[^ns]", new) else " ")
    return before + new + text[end:]


def rephrase(body: str, target: float, key: tuple[object, ...]) -> str:
    """Return ``body`` with another order or other words, near to ``target`` changed words of it."""
    ordered, share = body, 0.0
    for turn in range(MAX_MOVES):
        orders = [ordered, *reorderings(ordered)]
        other = orders[int(items.hash_to_unit("order", *key, turn) * len(orders))]
        moved = changed_share(body, other)
        if abs(moved - target) < abs(share - target):
            ordered, share = other, moved
    return substitute(ordered, (target - share) * len(words(body)), key)


def make_paraphrases(
    identifier: str, body: str, frames: list[str], assemble: Callable[[str, str], str], settings: Paraphrase
) -> tuple[list[Paraphrased], str]:
    """Return paraphrases of ``assemble(frames[0], body)``, and a reason.

    Each takes another frame, and a body of its own near the target share. One that changes a number
    or a name, or too little, is dropped. The reason says why none is left, and is else empty.
    """
    original = assemble(frames[0], body)
    paraphrases: list[Paraphrased] = []
    bodies = [body]
    for index, frame in enumerate(frames[1 : settings.n + 1], 1):
        # So that the mean over paraphrases comes near to the target.
        missing = settings.target_share * index - sum(paraphrase.body_share for paraphrase in paraphrases)
        aim = min(max(missing, settings.min_share), 2 * settings.target_share)
        new = _new_body(bodies, aim, settings, (identifier, index))
        if new is not None:
            bodies.append(new)
            text = assemble(frame, new)
            shares = changed_share(original, text), changed_share(body, new), moved_share(body, new)
            paraphrases.append(Paraphrased(text, *shares))
    reason = "" if paraphrases else "no paraphrase kept every number and name and changed enough words of the item"
    return paraphrases, reason


def _new_body(bodies: list[str], aim: float, settings: Paraphrase, key: tuple[object, ...]) -> str | None:
    """Return a body that differs from all of ``bodies``, whose first is the original, or None.

    It is the first attempt whose share of changed words is within half the target of ``aim``. Where
    there is none, it is the one nearest to ``aim``.
    """
    original = bodies[0]
    anchors, best, distance = numbers_and_names(original), None, math.inf
    for attempt in range(ATTEMPTS):
        # Late attempts aim lower: where the aim takes every phrase, all bodies would be alike.
        new = rephrase(original, aim * min(1, 2 - 2 * attempt / ATTEMPTS), (*key, attempt))
        share = changed_share(original, new)
        if new in bodies or share < settings.min_share or numbers_and_names(new, original) != anchors:
            continue
        if abs(share - aim) < distance:
            best, distance = new, abs(share - aim)
        if distance <= settings.target_share / 2:
            break
    return best
