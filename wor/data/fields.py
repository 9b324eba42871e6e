"""Make an item from a row of a table, by a named format or by a map of columns."""

import re
from collections.abc import Mapping

from wor.config.params import Fields, Rows
from wor.data.items import RawItem
from wor.errors import UserError

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_YES_NO = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_PRESETS = {
    "gsm8k": Fields(text="question", answer="answer", answer_kind="number", solution="answer"),
    "strategyqa": Fields(key="qid", text="question", answer="answer", answer_kind="yesno", solution="facts"),
}


def field_map(spec: Rows) -> Fields:
    """Return the map of columns that ``spec`` gives, or that its format stands for."""
    return spec.fields or _PRESETS[spec.format or ""]


def raw_item(key: str, row: Mapping[str, object], spec: Rows, origin: str) -> RawItem:
    """Return the item of a row. Raises UserError for an absent column or an unreadable value."""
    fields = field_map(spec)
    columns = (fields.text, fields.answer, fields.solution, fields.cluster)
    missing = [column for column in dict.fromkeys(columns) if column and column not in row]
    if missing:
        remedy = f"It has {', '.join(map(str, row))}: mend format or fields of the dataset"
        raise UserError(origin, f"item {key} lacks {', '.join(missing)}", remedy)
    answer, solution = (row[column] if column else "" for column in (fields.answer, fields.solution))
    if spec.format == "gsm8k":
        answer, solution = _split_gsm8k(str(answer))
    text = row[fields.text]
    if not isinstance(text, str) or not text.strip():
        raise UserError(origin, f"item {key}: column {fields.text} is {text!r}", "Name the column that holds the text")
    return RawItem(
        key=key,
        text=text,
        answer=_answer(answer, fields, key, origin),
        solution=_solution(solution, fields, key, origin),
        answer_kind=fields.answer_kind,
        cluster=str(row[fields.cluster]) if fields.cluster else key,
    )


def _split_gsm8k(text: str) -> tuple[str, str]:
    """Return the number after ``####``, and the text before it without calculator annotations."""
    solution, _, answer = text.rpartition("####")
    return answer, re.sub(r"<<.*?>>", "", solution).strip()


def _answer(value: object, fields: Fields, key: str, origin: str) -> str:
    if fields.answer_kind == "none":
        return ""
    text = str(value).strip()
    if fields.answer_kind == "yesno" and text.lower() in _YES_NO:
        return _YES_NO[text.lower()]
    if fields.answer_kind == "number" and _NUMBER.fullmatch(bare := text.replace(",", "")):
        return bare
    remedy = "Only numbers can be read as number, and yes, no, true and false as yesno: mend the row or fields"
    raise UserError(origin, f"item {key}: column {fields.answer} is {value!r}, no {fields.answer_kind}", remedy)


def _solution(value: object, fields: Fields, key: str, origin: str) -> str:
    """Return the text, or a list of texts as one text. An empty value gives an empty text."""
    values = value if isinstance(value, list) else [value or ""]
    parts = [part for part in values if isinstance(part, str)]
    if len(parts) < len(values):
        raise UserError(origin, f"item {key}: column {fields.solution} is {value!r}", "A solution is a text or a list of texts")
    return " ".join(parts)
