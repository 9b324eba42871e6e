"""Check that rows are read as other programs write them, or that a line says what to do."""

import codecs
import gzip
import json

import pytest

from wor import storage
from wor.data.json_lines import read_rows
from wor.errors import UserError

ROWS = [{"q": "Où?\u2028", "a": 1}, {"q": "B", "a": None}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (LINES.encode(), ["line 1", "line 2"]),
        (codecs.BOM_UTF8 + LINES.encode(), ["line 1", "line 2"]),
        (LINES.replace("\n", "\r\n").encode(), ["line 1", "line 2"]),
        (LINES.replace("\n", "\r").encode(), ["line 1", "line 2"]),
        (LINES.rstrip().replace("\n", "\n \n\n").encode(), ["line 1", "line 4"]),
        (json.dumps(ROWS, indent=2).encode(), ["row 0", "row 1"]),
        (codecs.BOM_UTF8 + b"\n" + json.dumps(ROWS).encode(), ["row 0", "row 1"]),
    ],
)
def test_rows_are_read_with_their_places(tmp_path, content, places):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert read_rows(path) == (ROWS, places)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty. Give it one JSON object per line"),
        (b"\n \r\n", "is empty"),
        (b"[]", "is empty"),
        (LINES.encode("utf-16"), "is in UTF-16, not UTF-8. Convert it: iconv -f UTF-16 -t UTF-8 rows.jsonl > utf8-rows.jsonl"),
        (LINES.encode("utf-16-le"), "is in UTF-16LE"),
        (LINES.encode("utf-16-be"), "is in UTF-16BE"),
        (LINES.encode("utf-32"), "is in UTF-32, not UTF-8"),
        (
            b'{"q": 1}\n' + '{"q": "Où?"}'.encode("latin-1"),
            r"line 2 is not UTF-8 \(byte 0xf9\), but perhaps Latin-1 .* -f WINDOWS-1252",
        ),
        (b'{"q": 1}\n{"q": "\0"}\n', "line 2 holds a NUL byte. Take a fresh copy"),
        (gzip.compress(LINES.encode(), mtime=0), "is gzip, not JSON lines. Unpack"),
        (b"PAR1\x15\x04", "is Parquet, not JSON lines"),
        (
            storage.LFS_POINTER + b"v1\noid sha256:0\nsize 12\n",
            "is a git-LFS pointer, not the file itself. Fetch it: git lfs pull",
        ),
        (b"<!DOCTYPE html>\n<html>", "is a web page, not JSON lines. Download the file itself"),
        (b"id;q\n1;Q?\n", r"is a table with semicolons, not JSON lines. Convert it with pandas: read_csv\('rows.jsonl', sep=';'"),
        (b"id,q\n1,Q?,x\n", "is a table with commas"),
        (b'{"q": 1}\n\n{"q": 2,}\n', "not JSON lines: line 3, column [89]: (Expecting|Illegal)"),
        (b'{"q": 1}\r{"q": \r', "line 2, column 7: Expecting value"),
        (b'{"q": 1}\n{"q": \'x\'}\n', "line 2, column 7: Expecting value"),
        (b'[{"q": 1},\n{"q": 2}\n{"q": 3}]', "line 3, column 1: Expecting ',' delimiter"),
        (b'[{"q": 1}, 3]', "row 1 holds 3. Give each line an object"),
        (b'{"q": 1}\nnull\n', "line 2 holds None"),
        (b'{"q": 1}\n{"q": 2, "a": {"b": 1, "b": 2}}\n', "line 2 cannot be read .it has the key 'b' twice"),
        (b'{"q": 1}\n{"q": "\\ud83d"}\n', "line 2 escapes half of a character"),
        (b'{"q": ' + b"1" * 5000 + b"}", "line 1 cannot be read"),
        (b"[" * 100_000, "line 1 cannot be read"),
        (
            b'{"data": [{"q": 1}, {"q": 2}]}',
            r"""holds its rows under 'data'. Write one object per line: jq -c '.\["data"\]\[\]' rows""",
        ),
        (json.dumps({"v": 1, "data": ROWS}, indent=1).encode(), "holds its rows under 'data'"),
        (
            json.dumps(ROWS[0], indent=1).encode(),
            "is one object over several lines. Write one object per line: jq -c '.' rows.jsonl",
        ),
    ],
)
def test_what_is_no_json_lines_file_is_named_with_its_remedy(tmp_path, content, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=line) as caught:
        read_rows(path)
    assert caught.value.key == str(path)
    assert "\n" not in str(caught.value)
