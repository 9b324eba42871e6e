"""Read numbers as people and models write them: the right value, or none.

A mark that may group thousands or begin decimals is read only where its place decides. So ``1,234``
and ``1,00,000`` have thousands, ``1.5`` has decimals, and ``12,5`` is no number.
"""

import math
import re
import unicodedata
from fractions import Fraction

MAX_LENGTH, MAX_EXPONENT = 1000, 300  # a longer number would fill the memory, or Python refuses it

# One character for one, so that offsets stay. Full-width forms stand 0xFEE0 above ASCII's.
_FOLDED = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {ord("⁄"): "/", ord("⁺"): "+"}
_FOLDED |= dict.fromkeys(map(ord, "−–‒‑﹣⁻"), "-")
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
VULGAR = "[¼½¾⅐-⅞]"
CURRENCY = r"\\?[$€£¥₹₩₽]"
_GROUPED = (
    r"(?:[1-9]\d?(?:,\d\d)+,\d{3}(?!\d)|[1-9]\d{0,2}(?:(?:,\d{3})+|(?:['’]\d{3})+|(?:[\u00a0\u2009\u202f]\d{3})+"
    r"|(?:\{,\}\d{3})+|(?:\\,\d{3})+|(?:,\\!\d{3})+))"
)
_DECIMAL = rf"(?:(?:{_GROUPED}|\d+)(?:\.\d+)?|(?<![\w.])\.\d+)"
_PART = rf"(?:\{{\s*-?{_DECIMAL}\s*\}}|\d)"
_LATEX = rf"\\[dtc]?frac\s*{_PART}\s*{_PART}"
_POWER = (
    r"(?:e[-+]?\d+|\s?(?:[x×*·]|\\times|\\cdot)\s?10"
    rf"(?:\s?\^\s?(?:\{{\s*[-+]?\d+\s*\}}|[-+]?\d+)|[-+]?[{SUPERSCRIPTS}]+))"
)
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"lakh": 10**5, "crore": 10**7}
_SCALE = rf"\s?(?:{'|'.join(_SCALES)})s?\b(?!\s(?:{'|'.join(_SCALES)})|-)"
_SIGN = r"(?<![\w.)])[-+](?=\S)"  # neither the one of 12-5 nor that of a list's "- 5"
_PREFIX = rf"(?:{_SIGN}(?:{CURRENCY})?\s?|{CURRENCY}\s?(?:{_SIGN})?|\s?)(?<![^\W\d_])"
_SIZE = (
    rf"(?:\d+(?:\s?(?:{VULGAR}|{_LATEX})|[^\S\n]\d+/\d+)|{_LATEX}|{VULGAR}|{_DECIMAL}\s?/\s?{_DECIMAL}"
    rf"|{_DECIMAL}(?:{_POWER}|{_SCALE})?)"
)
NUMBER = _PREFIX + _SIZE
_NUMBER = re.compile(f"({_PREFIX})({_SIZE})", re.IGNORECASE)
_MIXED = re.compile(rf"(\d+)(?:\s?(?={VULGAR}|\\[dtc]?frac)|\s(?=\d+/))(.+)")
_DIVISION = re.compile(rf"(?:\\[dtc]?frac\s*({_PART})\s*({_PART})|({_DECIMAL})\s?/\s?({_DECIMAL}))")
_SCALED = re.compile(rf"({_DECIMAL})(?:({_POWER})|({_SCALE}))?", re.IGNORECASE)
_EXPONENT = re.compile(rf"([-+]?(?:\d+|[{SUPERSCRIPTS}]+))\s*\}}?$")
_SPACE = r"[^\S\n]*"
_NEXT = rf"(?:{CURRENCY})?{_SPACE}[-+]?(?:\.?\d|{VULGAR}|\\[dtc]?frac)"
_UNITS = (
    "(?:hours?|hrs?|h|minutes?|mins?|m|days?|weeks?|months?|years?|feet|foot|ft|yards?|miles?|km|pounds?|lbs?|kg|dollars?|euros?)"
)
_JOINT = r"(?:(?:,\s?)?(?:and|or|to|plus|minus|times|by)\b|\\(?:times|cdot|div|pm|approx)(?![a-z])|[,;&+*/×÷·^<>~≈≡±x-])"
# It stands between the parts of a calculation, range, list or date, and of 2 hours 30 minutes.
_BETWEEN = (
    rf"(?:(?:{_SPACE}(?:[%°]|[^\W\d_]+\.?)){{0,2}}{_SPACE}{_JOINT}{_SPACE}|{_SPACE}(?:%|percent|out)?{_SPACE}of{_SPACE}"
    rf"|{_SPACE}{_UNITS}\.?{_SPACE}|[^\S\n]+|[.,:'’_(/]|)"
)
_JOINED_BEFORE = re.compile(rf"(?:\d|{VULGAR}|[%}}]){_BETWEEN}\Z", re.IGNORECASE)
_JOINED_AFTER = re.compile(_BETWEEN + rf"(?={_NEXT})", re.IGNORECASE)
# Parts of x_2, n/2, sqrt(2), ±5, a - 5 and CO-2; a list's "- 5" is none of them.
_BEFORE = re.compile(
    r"(?:[^\W\d_]_\{?|(?:[^\W\d_]|[)}\]])[^\S\n]*[/*+×÷·][^\S\n]*|\}\{|\\sqrt\{?|√|[±~^]\{?|\\pm|[^\n]-[^\S\n]*)\Z"
)
# Parts of 2^n, 5², 3x, 2√3, 0.\overline{3}, 3 and a half, 5k, 5/x.
_AFTER = re.compile(
    rf"\^(?!\{{?\s*\\circ)|[{SUPERSCRIPTS}]|{_SPACE}(?:[xyznπ√±≈≡]|pi)(?![^\W\d_])|[a-z]\^"
    r"|\.?\s?\\(?:sqrt|pi|overline|bar|dot|times|cdot|div|pm|approx|frac)|(?-i:[kKMBT]|bn|mn)\b|_\d|/[a-z]\b"
    rf"|[-\s]?(?:{'|'.join(_SCALES)})|(?:\s\w+)?\s(?:and\s)?(?:an?\s|one\s)?(?:half|third|quarter)s?\b",
    re.IGNORECASE,
)
_TO_DIGITS = str.maketrans(SUPERSCRIPTS, "0123456789")


def fold(text: str) -> str:
    """Return ``text`` with full-width characters and dashes as ASCII's. Offsets stay valid."""
    return text.translate(_FOLDED)


def read_number(text: str) -> Fraction | None:
    """Return the exact value of ``text``, which holds a number and nothing else, or None.

    It may be an integer, a decimal, a fraction (``3 1/2``, ``½``, LaTeX) or a power of ten, also
    with a word (``2.5 million``), a sign and a currency sign. None beyond MAX_LENGTH characters or
    an exponent of MAX_EXPONENT.
    """
    text = fold(text.strip())
    match = _NUMBER.fullmatch(text) if len(text) <= MAX_LENGTH else None
    # "€1.234" is meant in thousands, or to a tenth of a cent.
    if match is None or (match[1].strip("-+ ") and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", match[2])):
        return None
    try:
        value = _read_unsigned(match[2])
    except ZeroDivisionError:
        return None
    return -value if value is not None and "-" in match[1] else value


def stands_alone(text: str, start: int, end: int) -> bool:
    """Return whether the number at ``[start, end)`` of a folded text is a quantity by itself.

    It is none as a part of a calculation, a range, a list, a date, ``2 hours 30 minutes`` or
    ``3x``. The result of a calculation, after an equals sign, is one.
    """
    before = text[max(0, start - 80) : start]
    around = _BEFORE.search(before) or _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(text, end)
    unended = "." in text[start:end] and text.startswith(("..", "…"), end)
    return not around and not unended and not _AFTER.match(text, end)


def write_number(value: Fraction) -> str:
    """Return the shortest exact decimal, or ``numerator/denominator`` where there is none."""
    odd, places = value.denominator, 0
    while (divisor := math.gcd(odd, 10)) > 1:
        odd, places = odd // divisor, places + 1
    if odd > 1:
        return f"{value.numerator}/{value.denominator}"
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}}"
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{'-' if value < 0 else ''}{whole}{f'.{decimals}' if places else ''}"


def _read_unsigned(text: str) -> Fraction | None:
    if mixed := _MIXED.fullmatch(text):
        part = _read_unsigned(mixed[2])
        return int(mixed[1]) + part if part is not None and 0 < part < 1 else None
    if re.fullmatch(VULGAR, text):
        return Fraction(fold(unicodedata.normalize("NFKC", text)))
    if division := _DIVISION.fullmatch(text):
        numerator, denominator = (_read_decimal(part) for part in division.groups() if part)
        return numerator / denominator
    if not (scaled := _SCALED.fullmatch(text)):
        return None
    decimal, power, scale = scaled.groups()
    if scale:
        return _read_decimal(decimal) * _SCALES[scale.strip().lower().removesuffix("s")]
    exponent = int(_EXPONENT.findall(power)[0].translate(_TO_DIGITS)) if power else 0
    return _read_decimal(decimal) * Fraction(10) ** exponent if abs(exponent) <= MAX_EXPONENT else None


def _read_decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[,'’{}\\!\s]", "", text))
