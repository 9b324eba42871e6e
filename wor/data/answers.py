"""Where a continuation states its answer, and which. Versioned: a change here changes windows and accuracy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from wor.config.params import AnswerKind

VERSION = 2

_NUMBER = r"(?:(?<![\d.)])[-−])?[$€£]?\s?\d[\d,]*(?:\.\d+)?"
_VALUE = {"number": _NUMBER, "yesno": r"\b(?:yes|no|true|false)\b(?![\s'\"’”*]*\bor\b)"}  # not "whether it is yes or no"
_TRUTH = {"true": "yes", "false": "no"}
# "the answer is 3 * 11 = 33" states 33. Only a calculation goes on: "12, since 12 - 4 = 8 are left" states 12.
_RESULT = re.compile(rf"(?:[\d \t+*/×÷()$€£%^x−-]|[.,](?=\d))*=[\s*_$€£\\(]*({_NUMBER})")
_LEAD = r"(?:####\s*|\\boxed\{\s*|(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=)\s*:?\s*)"
_FILLER = {"number": r"[\s*_$€£\\(]*", "yesno": r"[\s*_'\"“(]*"}


@dataclass(frozen=True)
class Answer:
    """``[start, end)`` are the offsets of the statement's characters; ``value`` is normalised."""

    start: int
    end: int
    value: str


def find_answer(text: str, kind: AnswerKind, finished: bool) -> Answer | None:
    """The first stated answer in ``text``, or None.

    A statement is "answer is ...", "#### ..." or "\\boxed{...}"; of a calculation that it states, the result; of
    true and false, yes and no. Without one, a yes or no that opens the
    text counts, and so does the last number of a text that the model itself ended; the last number of
    one that was cut off does not, because it may be half-way through the working.
    """
    if kind == "none":
        return None
    stated = re.search(f"(?:{_LEAD})+{_FILLER[kind]}({_VALUE[kind]})", text, re.IGNORECASE)
    if stated:
        value, end = stated[1], stated.end()
        while kind == "number" and (result := _RESULT.match(text, end)):
            value, end = result[1], result.end()
        return _answer(text, stated.start(), end, value, kind)
    if kind == "yesno":
        opening = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
        return _answer(text, 0, opening.end(), opening[1], kind) if opening else None
    numbers = list(re.finditer(_NUMBER, text)) if finished else []
    return _answer(text, *numbers[-1].span(), numbers[-1][0], kind) if numbers else None


def _answer(text: str, start: int, end: int, value: str, kind: AnswerKind) -> Answer:
    return Answer(start, len(text[:end].rstrip(",")), normalise_answer(value, kind))  # "12, since": the comma is the sentence's


def normalise_answer(value: str, kind: AnswerKind) -> str:
    """``"$1,234.50"`` and ``"1234.5"`` are one answer; so are ``"Yes"``, ``"yes"`` and ``"true"``."""
    if kind != "number":
        return _TRUTH.get(value.strip().lower(), value.strip().lower())
    bare = re.sub(r"[\s,$€£]", "", value).replace("−", "-")
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return bare
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())
