"""Read the rows of a JSON lines file, whatever program wrote it, or say what it is instead."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from wor import storage
from wor.errors import UserError

_SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet",
}
_MARKS = {  # UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_FRESH = "Take a fresh copy of the file"


def read_rows(path: Path) -> tuple[list[dict], list[str]]:
    """Return the rows, and the place of each: ``line 3``, or ``row 2`` from 0 in a JSON array.

    A byte order mark and any line ends are read. Raises UserError with the line, and with what was
    expected there, or with what the file is instead.
    """
    storage.require_fetched(path)
    text = _decode(path, path.read_bytes())
    if text.lstrip().startswith("["):
        rows = {f"row {number}": row for number, row in enumerate(_parse(path, 1, text))}
    else:
        # Not splitlines(): it would also split at U+2028 and its like, inside a JSON string.
        lines = enumerate(re.split(r"\r\n|\n|\r", text), 1)
        rows = {f"line {number}": _parse_line(path, number, line, text) for number, line in lines if line.strip()}
    if not rows:
        raise UserError(path, "is empty", "Give it one JSON object per line")
    for place, row in rows.items():
        if not isinstance(row, dict):
            raise UserError(path, f"{place} holds {row!r:.60}", "Give each line an object with named values")
    if len(rows) == 1 and (name := _holds_rows(*rows.values())):
        raise _one_object(path, name)
    return list(rows.values()), list(rows)


def _decode(path: Path, content: bytes) -> str:
    for signature, form in _SIGNATURES.items():
        if content.startswith(signature):
            raise UserError(path, f"is {form}, not JSON lines", "Unpack or export it to a file with one JSON object per line")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    if not encoding and b"\0" in content[:4]:
        encoding = "UTF-32" if content[:4].count(0) == 3 else "UTF-16LE" if content[1:2] == b"\0" else "UTF-16BE"
    if encoding:
        raise UserError(path, f"is in {encoding}, not UTF-8", _convert(path, encoding))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        fault = f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x}), but perhaps Latin-1 (Windows-1252)"
        raise UserError(path, fault, _convert(path, "WINDOWS-1252")) from None
    if "\0" in text:
        raise UserError(path, f"line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a NUL byte", _FRESH)
    return text


def _convert(path: Path, encoding: str) -> str:
    return f"Convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}"


def _parse_line(path: Path, number: int, line: str, text: str) -> Any:
    try:
        return _parse(path, number, line)
    except UserError:
        if number > 1:
            raise
        if line.lstrip().startswith("<"):
            raise UserError(path, "is a web page, not JSON lines", "Download the file itself, as raw text") from None
        if not line.lstrip().startswith(("{", '"')) and (delimiter := max(",;\t", key=line.count)) in line:
            raise _table(path, delimiter) from None
        try:
            whole = json.loads(text)
        except ValueError:
            whole = None
        if isinstance(whole, dict):
            raise _one_object(path, _holds_rows(whole)) from None
        raise


def _parse(path: Path, line: int, text: str) -> Any:
    """Return the value of ``text``, which begins in that line of the file."""
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        fault = f"not JSON lines: line {line + error.lineno - 1}, column {error.colno}: {error.msg}"
        raise UserError(path, fault, "Mend that line, or take a fresh copy of the file") from None
    except UnicodeEncodeError:
        raise UserError(path, f"line {line} escapes half of a character (\\ud...)", "Mend that line") from None
    except (ValueError, RecursionError) as error:  # a key twice; too many digits; too deep
        raise UserError(path, f"line {line} cannot be read ({error})", "Mend that line") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the key {next(name for name in values if names.count(name) > 1)!r} twice")
    return values


def _holds_rows(value: dict) -> str:
    """Return the name under which an object holds a list of objects, or an empty text."""
    lists = (name for name, rows in value.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict))
    return next(lists, "")


def _one_object(path: Path, name: str) -> UserError:
    if name:
        return UserError(path, f"is one object that holds its rows under {name!r}", _with_jq(path, f".[{json.dumps(name)}][]"))
    return UserError(path, "is one object over several lines", _with_jq(path, "."))


def _with_jq(path: Path, query: str) -> str:
    return f"Write one object per line: jq -c '{query}' {path.name} > rows.jsonl"


def _table(path: Path, delimiter: str) -> UserError:
    names = {",": "commas", ";": "semicolons", "\t": "tabs"}
    read, write = f"read_csv({path.name!r}, sep={delimiter!r}, dtype=str)", "to_json('rows.jsonl', orient='records', lines=True)"
    return UserError(path, f"is a table with {names[delimiter]}, not JSON lines", f"Convert it with pandas: {read}.{write}")
