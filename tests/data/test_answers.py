import pytest

from tests.helpers.root import ROOT
from wor import storage
from wor.data.answers import find_answer, find_closing, normalise_answer

# Responses of SmolLM2-135M-Instruct: 32 of 320 tokens, 4 of 64, and 58 of 100 to prompts that were
# written to provoke fractions, prices, signs and the like. `stated` is a reader's choice.
REAL = storage.read_jsonl(ROOT / "tests" / "fixtures" / "outputs.jsonl")


@pytest.mark.parametrize("output", REAL, ids=[output["item"] for output in REAL])
def test_of_a_real_output_it_finds_what_a_reader_finds(output):
    answer = find_answer(output["text"], output["kind"], output["finished"])
    assert (answer.value if answer else "") == (output["stated"] or "")


STATED = [
    ("12 + 17 = 29\n#### 29", "number", "#### 29", "29"),
    ("so The answer is: $1,234.50.", "number", "The answer is", "1234.5"),
    ("The answer is **42**", "number", "The answer is", "42"),
    ("The final answer is \\boxed{-12}", "number", "The final", "-12"),
    ("the answer is 3 and not 4. The answer is 5", "number", "the answer is 3", "3"),
    ("The answer is 3 * 11 = 33 tiles", "number", "The answer", "33"),
    ("The answer is 2 + 2 = 4 = $4.00. Then 5 = 5", "number", "The answer", "4"),
    ("The answer is 7. Now x = 9", "number", "The answer", "7"),
    ("The answer is 12, since 12 - 4 = 8 are left", "number", "The answer", "12"),
    ("The answer is 6 apples and x = 2", "number", "The answer", "6"),
    ("The answer is 20 - 5 = 15, so 15 / 3 = 5 each", "number", "The answer", "15"),
    ("The answer is (2 x 1,500) + 7.5 = 3,007.5 in all", "number", "The answer", "3007.5"),
    ("So the answer is false.", "yesno", "the answer", "no"),
    ("It follows. The answer is 'Yes'.", "yesno", "The answer", "yes"),
    ("Yes, it does, because", "yesno", "Yes", "yes"),
    ("**No**. All dogs", "yesno", "**No", "no"),
    ("No it does not", "yesno", "No", "no"),
    ("No – it does not", "yesno", "No", "no"),
    ("\\boxed{\\text{No}}", "yesno", "\\boxed", "no"),
    ("The answer is 1/2.", "number", "The answer", "0.5"),
    ("The answer is 3 1/2 cups", "number", "The answer", "3.5"),
    ("The answer is 2½", "number", "The answer", "2.5"),
    ("The answer is $\\frac{1}{3}$", "number", "The answer", "1/3"),
    ("So \\boxed{\\dfrac{3}{4}}", "number", "\\boxed", "0.75"),
    ("So \\boxed{\\text{5} cm}", "number", "\\boxed", "5"),
    ("So \\boxed{x = 1{,}234\\text{ km}}", "number", "\\boxed", "1234"),
    ("So \\boxed{50\\%}", "number", "\\boxed", "50"),
    ("\\boxed{2\\times10=20}", "number", "\\boxed", "20"),
    ("The answer is .5", "number", "The answer", "0.5"),
    ("The answer is –5", "number", "The answer", "-5"),
    ("The answer is -$5", "number", "The answer", "-5"),
    ("The answer is ５０", "number", "The answer", "50"),
    ("The answer is 1,00,000 rupees", "number", "The answer", "100000"),
    ("The answer is 1'234 francs", "number", "The answer", "1234"),
    ("The answer is 3.2 × 10⁵ m", "number", "The answer", "320000"),
    ("The answer is $2.5 million.", "number", "The answer", "2500000"),
    ("The answer is $3.125$", "number", "The answer", "3.125"),
    ("The answer is 2^10 = 1024", "number", "The answer", "1024"),
    ("The answer is 3rd", "number", "The answer", "3"),
    ("The answer is 90^\\circ", "number", "The answer", "90"),
    ("The answer is 12 in 3 weeks", "number", "The answer", "12"),
    ("The answer is 12 (3 * 4)", "number", "The answer", "12"),
    ("The answer is 50% off", "number", "The answer", "50"),
    ("#### 1. Add the two\n12 + 17 = 29\n#### 29", "number", "#### 29", "29"),
    ("\\boxed{} is empty. The answer is 5", "number", "The answer", "5"),
]
UNREAD = [
    *("12,5", "1.234,56", "€1.234", "1,2,3", "1 234 567", "0,500", "1.2.3", "5'4", "3:30", "12/5/2020", "1/0", "0.333..."),
    *("3 or 4", "3 and 4", "1, 2 and 3", "3-4", "3 to 4", "3 apples and 4 pears", "2 hours 30 minutes", "3 feet, 4 inches"),
    *("3 * 11 tiles", "12 - 5", "50% of 80", "3 out of 5", "3 and a half", "3 hours and a half", "5k", "$5M", "3x + 1", "2π"),
    *(
        "5²",
        "10^5",
        "2\\pi",
        "2\\sqrt{3}",
        "\\sqrt{2}",
        "0.\\overline{3}",
        "±5",
        "- 5",
        "twelve",
        "half",
        "1" * 5000,
        "1e999999999",
    ),
]


@pytest.mark.parametrize("value", UNREAD)
def test_a_value_that_is_not_certain_is_not_read_but_ends_the_window(value):
    for text in (f"There are 7. The answer is {value}", f"#### {value}", f"\\boxed{{{value}}}"):
        answer = find_answer(text, "number", finished=True)
        assert answer.value == ""
        assert text[answer.start :].startswith(("The answer is", "####", "\\boxed"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is –5.", "-5"),
        ("So:\n- 5 apples", "5"),
        ("It costs Rs.500", "500"),
        ("3 * 4 = 12 eggs.", "12"),
        ("12 + 17 = 29, so 29", "29"),
        ("It is half: 1/2.", "0.5"),
        ("It takes 2 hours and 30 minutes.", ""),
        ("On May 5, 2020.", ""),
        ("We have 5 boxes and 12 eggs.", ""),
        ("It is about COVID-19.", ""),
        ("It is 12,5.", ""),
        ("It is a - 5.", ""),
        ("Did you ask for 12?", ""),
        ("It is x + 5.", ""),
        ("It is (a + b)/2", ""),
        ("So \\boxed{x + 5}", ""),
        ("So \\boxed{\\text{about 5 or 6}}", ""),
    ],
)
def test_the_last_number_counts_where_it_stands_alone(text, value):
    assert find_answer(text, "number", finished=True).value == value


@pytest.mark.parametrize(("text", "kind", "begins", "value"), STATED)
def test_a_statement_is_found_where_it_begins(text, kind, begins, value):
    answer = find_answer(text, kind, finished=False)
    assert answer.value == value
    assert text[answer.start :].startswith(begins)


@pytest.mark.parametrize(
    ("text", "kind", "whole"),
    [
        ("So the answer is: $1,234.50.", "number", "the answer is: $1,234.50"),
        ("The answer is 2 + 2 = 4 = $4.00. Then 5 = 5", "number", "The answer is 2 + 2 = 4 = $4.00"),
        ("The answer is 12, since 12 - 4 = 8 are left", "number", "The answer is 12"),
        ("**No**. All dogs", "yesno", "**No"),
        ("So there are (7) apples.", "number", "7"),
    ],
)
def test_a_statement_ends_with_its_value(text, kind, whole):
    answer = find_answer(text, kind, finished=True)
    assert text[answer.start : answer.end] == whole


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("First, 12 + 17 = 29, and then", "number"),
        ("the answer is not yet known", "yesno"),
        ("The answer is 'yes' or 'no'", "yesno"),
        ("whether the answer is true or false", "yesno"),
        ("Nobody knows. Yesterday", "yesno"),
        ("No one can tell from this.", "yesno"),
        ("No-one knows", "yesno"),
        ("No mammals are lions. So", "yesno"),
        ("No doubt it follows.", "yesno"),
        ("Not yes", "yesno"),
        ("Yes and no.", "yesno"),
        ("Yes, and no.", "yesno"),
        ("yes/no", "yesno"),
        ("The answer is yes and no", "yesno"),
        ("The answer is no longer known", "yesno"),
        ("The answer is No. 5", "yesno"),
        ("The answer is 3", "none"),
        ("", "number"),
    ],
)
def test_no_statement_is_none(text, kind):
    assert find_answer(text, kind, finished=False) is None


def test_the_last_number_counts_only_in_a_finished_text():
    text = "12 plus 17 makes 29."
    assert find_answer(text, "number", finished=False) is None
    assert find_answer(text, "number", finished=True).value == "29"


def test_a_minus_between_numbers_is_no_sign():
    assert find_answer("It is 12-5", "number", finished=True).value == ""
    assert find_answer("It is -5", "number", finished=True).value == "-5"


def test_equal_numbers_are_one_answer():
    assert {normalise_answer(text, "number") for text in ("1,200", "1200", "$1200", "1200.0", " 1200")} == {"1200"}
    assert normalise_answer("0.50", "number") == "0.5"
    assert normalise_answer("1" * 400, "number") == "1" * 400
    assert normalise_answer("12,5", "number") == ""
    assert normalise_answer("YES ", "yesno") == "yes"


@pytest.mark.parametrize(
    ("text", "kind", "phrase", "closing"),
    [
        ("Somalia is in Africa. That is all. Somalia", "none", "That is all", "That is all"),
        ("So that is all, and more", "none", "That is all", "that is all"),
        ("Thatched roofs, that is allowed", "none", "That is all", ""),
        ("12 + 17 = 29. The answer is 29. Next", "number", "The answer is", "The answer is 29"),
        ("The answer is not known. #### 7", "number", "The answer is", "The answer is"),
        ("12 + 17 = 29\n#### 29", "number", "The answer is", "#### 29"),
        ("Yes. The answer is yes", "yesno", "The answer is", "The answer is yes"),
        ("Yes, it follows", "yesno", "The answer is", "Yes"),
        ("and so on", "number", "The answer is", ""),
        ("and so on", "none", "", ""),
    ],
)
def test_both_classes_are_cut_at_their_closing_statement(text, kind, phrase, closing):
    start, end = find_closing(text, find_answer(text, kind, finished=False), phrase)
    assert text[start:end] == closing
    assert end <= len(text)
    assert closing or start == len(text)
