"""A small share of the campaign of hostile inputs, and that its judge can find a fault."""

import pytest

from benchmarks.hostile import environments, folders, outcome, parameters, rows
from wor.data import fields
from wor.errors import UserError


@pytest.mark.parametrize(
    ("part", "cases"),
    [
        (parameters, range(150)),
        (rows, range(400)),
        (folders, range(60)),
        pytest.param(environments, range(3), marks=pytest.mark.dvc),
    ],
    ids=["parameters", "rows", "folders", "environments"],
)
def test_what_is_hostile_is_refused_in_a_line_or_read_as_it_is(part, cases):
    outcomes = {number: part.run_case(number) for number in cases}
    assert {number: found for number, found in outcomes.items() if found.kind in outcome.FAULTS} == {}
    if len(cases) > 10:
        assert {found.kind for found in outcomes.values()} == {outcome.ACCEPTED, outcome.REFUSED}


def refuse(line: str) -> None:
    raise UserError("key", line, "")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: 1 / 0, "traceback"),
        (lambda: 5, "silent acceptance"),
        (lambda: 4, outcome.ACCEPTED),
        (lambda: refuse("value"), "no remedy"),
    ],
)
def test_the_judge_knows_a_fault(call, kind):
    assert outcome.judge(call, lambda value: "" if value == 4 else "not 4").kind == kind
    assert outcome.judge_line("key: value. Do this\nnow").kind == "several lines"


def test_a_reader_that_takes_a_comma_for_thousands_is_found_out(monkeypatch):
    """As it was: 12,5 was 125."""
    plain = fields.read_number
    monkeypatch.setattr(fields, "read_number", lambda text: plain(text.replace(",", "")))
    assert any(rows.run_case(number).kind == "silent acceptance" for number in range(200))
