"""Find the answer that a continuation states, and where its closing statement begins.

Raise VERSION with any change of the rules, as windows and accuracy depend on them.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from wor.config.params import AnswerKind

VERSION = 3

_NUMBER = r"(?:(?<![\d.)])[-−])?[$€£]?\s?\d[\d,]*(?:\.\d+)?"
# Not the first word of "yes or no".
_VALUE = {"number": _NUMBER, "yesno": r"\b(?:yes|no|true|false)\b(?![\s'\"’”*]*\bor\b)"}
_TRUTH = {"true": "yes", "false": "no"}
# "the answer is 3 * 11 = 33" states 33, but "the answer is 12, since 12 - 4 = 8" states 12.
_RESULT = re.compile(rf"(?:[\d \t+*/×÷()$€£%^x−-]|[.,](?=\d))*=[\s*_$€£\\(]*({_NUMBER})")
_LEAD = r"(?:####\s*|\\boxed\{\s*|(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=)\s*:?\s*)"
_FILLER = {"number": r"[\s*_$€£\\(]*", "yesno": r"[\s*_'\"“(]*"}


@dataclass(frozen=True)
class Answer:
    """A stated answer: the offsets ``[start, end)`` of its characters, and its normalised value."""

    start: int
    end: int
    value: str


def find_answer(text: str, kind: AnswerKind, finished: bool) -> Answer | None:
    """Return the first answer that ``text`` states, or None.

    A statement is "answer is ...", "#### ..." or "\\boxed{...}". Of a stated calculation the
    result counts. True and false count as yes and no. Without a statement, a yes or no at the start
    counts, or the last number of a ``finished`` text. In a text that was cut off, the last number
    may come from the middle of the working.
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


def find_closing(text: str, answer: Answer | None, phrase: str) -> tuple[int, int]:
    """Return the characters ``[start, end)`` of the closing statement, alike in both classes.

    It is the stated answer, or the first occurrence of ``phrase``, with which the instruction asks
    to end: whichever begins first. Both offsets are the text's length where there is neither.
    """
    spans = [(answer.start, answer.end)] if answer else []
    if phrase and (match := re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE)):
        spans.append(match.span())
    # An answer usually begins with the phrase, and goes on after it.
    return min(spans, key=lambda span: (span[0], -span[1]), default=(len(text), len(text)))


def _answer(text: str, start: int, end: int, value: str, kind: AnswerKind) -> Answer:
    # In "12, since" the comma belongs to the sentence.
    return Answer(start, len(text[:end].rstrip(",")), normalise_answer(value, kind))


def normalise_answer(value: str, kind: AnswerKind) -> str:
    """Return equal texts for equal answers, as for "$1,234.50" and "1234.5", "Yes" and "true"."""
    if kind != "number":
        return _TRUTH.get(value.strip().lower(), value.strip().lower())
    bare = re.sub(r"[\s,$€£]", "", value).replace("−", "-")
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return bare
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())
