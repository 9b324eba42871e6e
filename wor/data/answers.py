"""Find the answer that a continuation states, and where its closing statement begins.

Raise VERSION with any change of the rules, as windows and accuracy depend on them.
"""

import re
from dataclasses import dataclass

from wor.config.params import AnswerKind
from wor.data.numbers import NUMBER, fold, read_number, stands_alone, write_number

VERSION = 4

_TRUTH = {"true": "yes", "false": "no"}
# Not "No one can tell", which says no of something else, nor "No. 5".
_NO = r"no\b(?!\.\s*\d|-\w)(?=\s*(?:[^\w\s]|$)|\s*\n|\s+(?:it|this|that|these|they|there|he|she|we|you|i|because|since|as)\b)"
# Not the first word of "yes or no" or "yes and no".
_NO_OTHER = rf"(?![\s'\"”’*]*\bor\b|[\s'\"”’*,.]*(?:\band\b|[/|&])[\s'\"“‘*]*(?:also\s+)?(?:(?:yes|true|false)\b|{_NO}))"
# "#### 2. Compute the total" is a heading.
_LEAD = r"(?:####(?!\s*\d+[.):]\s+\w)\s*|\\boxed\{\s*(?:[a-z]\s*=\s*)?|(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=)\s*:?\s*)"
_MARKUP = r"(?:[\s*_\\([{]|\$(?![\s\d.])|\\(?:text|math)[a-z]*\{)*"
_STATED = {
    "number": re.compile(rf"(?:{_LEAD})+{_MARKUP}(?P<value>{NUMBER})", re.IGNORECASE),
    "yesno": re.compile(
        rf"(?:{_LEAD})+(?:[\s*_'\"“‘($,]|\\text[a-z]*\{{)*(?P<value>\b(?:(?:yes|true|false)\b|{_NO}){_NO_OTHER})", re.IGNORECASE
    ),
}
_OPENING = re.compile(rf"\W*(?P<value>(?:yes\b|{_NO}){_NO_OTHER})", re.IGNORECASE)
# A value in words or signs that no number is read from.
_UNREAD = re.compile(
    rf"\\boxed\{{\s*[^\s}}]|(?:{_LEAD})+{_MARKUP}(?:±|-\s*\d|√|π|(?:pi|sqrt|[dtc]?frac)(?![a-z])|(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:thir|four|fif|six|seven|eigh|nine)(?:teen|ty)|twenty|forty|a\s+(?:half|third|quarter|dozen|hundred|thousand)|half)\b)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"[^.!\n]*\?")  # the rest of a question
# "the answer is 3 * 11 = 33" states 33, but "the answer is 12, since 12 - 4 = 8" states 12.
_RESULT = re.compile(
    rf"(?:[\d \t+*/×÷·()$€£%^x-]|\\(?:times|cdot|div)(?![a-z])|[.,](?=\d))*=[\s*_$€£\\(]*(?P<value>{NUMBER})", re.IGNORECASE
)


@dataclass(frozen=True)
class Answer:
    """A stated answer: the offsets ``[start, end)`` of its characters, and its normalised value.

    The value is empty if a reader could not be certain of it, as in "12,5" or "3 or 4".
    """

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
    text = fold(text)
    stated = _STATED[kind].search(text)
    if kind == "yesno":
        answer = stated or _OPENING.match(text)
        return Answer(answer.start(), answer.end(), normalise_answer(answer["value"], kind)) if answer else None
    if stated:
        number = stated
        while result := _RESULT.match(text, number.end()):
            number = result
        return _answer(text, stated.start(), number.span("value"))
    if unread := _UNREAD.search(text):
        return Answer(unread.start(), unread.end(), "")
    numbers = list(re.finditer(NUMBER, text, re.IGNORECASE)) if finished else []
    return _answer(text, numbers[-1].start(), numbers[-1].span()) if numbers else None


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


def _answer(text: str, start: int, number: tuple[int, int]) -> Answer:
    value, end = text[slice(*number)], number[1]
    if value.startswith("$") and text[end : end + 1] == "$":  # $5$ is mathematics, no price
        value = value[1:]
    alone = stands_alone(text, *number) and not _ASKED.match(text, end)
    return Answer(start, end, normalise_answer(value, "number") if alone else "")


def normalise_answer(value: str, kind: AnswerKind) -> str:
    """Return equal texts for equal answers, as for "$1,234.50" and "1234.5", "Yes" and "true".

    A number that cannot be read for certain is an empty text.
    """
    if kind != "number":
        return _TRUTH.get(value.strip().lower(), value.strip().lower())
    number = read_number(value)
    return "" if number is None else write_number(number)
