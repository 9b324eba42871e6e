"""Make an item from a row of a table, by a named format or by a map of columns."""

import math
import re
from collections.abc import Mapping, Sequence

from wor.config.params import Fields, Rows
from wor.data.items import RawItem
from wor.data.numbers import read_number, write_number
from wor.errors import UserError

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_HOW_TO_WRITE = {
    "number": "Write it as 12.5, 1,234 or 1/2, without unit or percent sign: mend the row or fields",
    "yesno": "Write yes, no, true or false: mend the row or fields",
}
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
        raise UserError(origin, f"item {key} lacks {', '.join(missing)}", say_columns(list(row)))
    answer, solution = (row[column] if column else "" for column in (fields.answer, fields.solution))
    if spec.format == "gsm8k" and isinstance(answer, str):
        answer, solution = _split_gsm8k(answer)
    text = row[fields.text]
    if not isinstance(text, str) or not text.strip():
        raise UserError(origin, f"item {key}: column {fields.text} is {text!r:.60}", "Name the column that holds the text")
    return RawItem(
        key=key,
        text=text,
        answer=_answer(answer, fields, key, origin),
        solution=_solution(solution, fields, key, origin),
        answer_kind=fields.answer_kind,
        cluster=_cluster(row[fields.cluster], fields, key, origin) if fields.cluster else key,
    )


def say_columns(columns: Sequence[str]) -> str:
    """Return the remedy for an absent column."""
    names = ", ".join(map(str, columns))
    if len(columns) == 1 and re.search(r"[;\t|]", names):
        return f"It has one, {names!r}: separate columns with commas"
    return f"It has {names}: mend format or fields of the dataset"


def read_name(value: object) -> str:
    """Return the text or number in a cell as a name, or an empty text if it names nothing.

    Null, NaN, true, false, lists and objects name nothing: rows with them have nothing in common.
    """
    if isinstance(value, str):
        return value if value.strip() else ""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if is_number else ""


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
    if fields.answer_kind == "number" and (number := read_number(text)) is not None:
        # Frozen lists hash the digits as they were written.
        return bare if _PLAIN.fullmatch(bare := text.replace(",", "")) else write_number(number)
    fault = f"item {key}: column {fields.answer} is {value!r:.60}, no {fields.answer_kind}"
    raise UserError(origin, fault, _HOW_TO_WRITE[fields.answer_kind])


def _cluster(value: object, fields: Fields, key: str, origin: str) -> str:
    if name := read_name(value):
        return name
    remedy = "Give each row a text or number there, or leave fields.cluster out"
    raise UserError(origin, f"item {key}: column {fields.cluster} is {value!r:.60}", remedy)


def _solution(value: object, fields: Fields, key: str, origin: str) -> str:
    """Return the text, or a list of texts as one text. An empty value gives an empty text."""
    values = value if isinstance(value, list) else ["" if value is None else value]
    parts = [part for part in values if isinstance(part, str)]
    if len(parts) < len(values):
        raise UserError(
            origin, f"item {key}: column {fields.solution} is {value!r:.60}", "A solution is a text or a list of texts"
        )
    return " ".join(parts)
