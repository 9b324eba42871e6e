"""Check that a number as people write it is read right or not at all."""

from fractions import Fraction

import pytest

from wor.data.numbers import fold, read_number, write_number

READ = {
    "1206": "1206 1,206 1'206 1’206 1\u2009206 1\u202f206 1\u00a0206 1{,}206 1\\,206 $1,206 1206.0 １２０６ １，２０６ +1206",
    "1234567.5": "1234567.5 1,234,567.5 12,34,567.50 1'234'567.5",
    "100000": "100000 1,00,000 1e5 1E+5 10×10^4 10×10⁴ 1\\times10^{5}",
    "0.5": "0.5 .5 0.50 1/2 2/4 ½ 1⁄2 \\frac{1}{2} \\dfrac12 \\tfrac{1}{2} 5e-1 ０．５",
    "-5": "-5 −5 –5 ‑5 ﹣5 －5 -$5 $-5 −€5.00 -10/2",
    "1/3": "1/3 2/6 \\frac{1}{3} ⅓",
    "0": "0 -0 0.0 00",
}
SPACED = {
    "3 1/2": "3.5",
    "3 ½": "3.5",
    "3½": "3.5",
    "3\\frac{1}{2}": "3.5",
    "250 / 25": "10",
    "$ 7": "7",
    "2.5 million": "2500000",
}


@pytest.mark.parametrize(
    ("text", "value"), [*((text, value) for value, texts in READ.items() for text in texts.split(" ")), *SPACED.items()]
)
def test_a_number_has_one_value_however_it_is_written(text, value):
    number = read_number(text)
    assert number == Fraction(value)
    assert write_number(number) == value


@pytest.mark.parametrize(
    "text",
    [
        *("12,5", "0,500", "1.234,56", "1,2,3", "1,234,5", "1,23,4567", "1,0000", "1.2.3", "€1.234", "1_000", "1 234", "5'4"),
        *("3 5/2", "1/0", "1/2/3", "--5", "- 5", "3 or 4", "12 eggs", "50%", "5k", "3x", "5²", "2^3", "2\\sqrt{3}", "twelve"),
        *("", "-", ".", "nan", "inf", "True", "None", "1e999999999", "1" * 5000),
    ],
)
def test_what_may_mean_two_numbers_or_none_is_not_read(text):
    assert read_number(text) is None


def test_folding_keeps_offsets():
    text = "Ｔｏｔａｌ： １２–７ ⁄ ½"
    assert len(fold(text)) == len(text)
    assert fold(text) == "Total: 12-7 / ½"
