"""Mutated rows and files of datasets, and what models state. A number is right or unread."""

import json
import tempfile
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.outcome import Outcome, judge
from benchmarks.hostile.parameters import draw
from wor.config.params import Fields, JsonLines
from wor.data import answers, datasets

SEED = 2
FIELDS = Fields(key="id", text="q", answer="a", answer_kind="number", cluster="c")
NAN = float("nan")
# Cells that no column may have: no text, and no number that stands for one.
EMPTY: tuple = (None, True, False, [], ["x"], {}, {"x": 1}, NAN, float("inf"), "", " ", "\t\n")
# Of a number, or of several: never one number that a reader may guess.
UNREADABLE: tuple = (
    *EMPTY,
    "1,2,3",
    "12,34,5",
    "1.2.3",
    "--5",
    "5-",
    "5 or 6",
    "1/0",
    "nan",
    "inf",
    "x",
    "1,,000",
    "#",
    "1e",
    "½½",
    "3 4",
)


def grouped(value: int, separator: str, indian: bool = False) -> str:
    """Return an integer with its digits in groups: of three, or the Indian way."""
    digits, groups = str(value), []
    while digits:
        size = 2 if indian and groups else 3
        groups.append(digits[-size:])
        digits = digits[:-size]
    return separator.join(reversed(groups))


def written(rng: np.random.Generator) -> tuple[str, Decimal]:
    """Return a number as people write it, and its value."""
    whole, part = int(rng.choice([3, 12, 345, 1234, 45678, 1234567])), int(rng.integers(1, 100))
    cents = f"{part:02d}"
    value, exact = Decimal(whole), Decimal(f"{whole}.{cents}")
    top, bottom = int(rng.integers(1, 9)), int(draw(rng, (2, 4, 5, 8)))
    ratio = Decimal(top) / Decimal(bottom)
    return draw(
        rng,
        (
            (str(whole), value),
            (f"{whole}.{cents}", exact),
            (f"{whole},{cents}", exact),
            (grouped(whole, ","), value),
            (f"{grouped(whole, ',')}.{cents}", exact),
            (f"{grouped(whole, '.')},{cents}", exact),
            (grouped(whole, ",", indian=True), value),
            (grouped(whole, "\u00a0"), value),
            (grouped(whole, "\u202f"), value),
            (grouped(whole, "'"), value),
            (f"-{whole}", -value),
            (f"\u2212{whole}", -value),
            (f"\u2013{whole}", -value),
            (f"${grouped(whole, ',')}", value),
            (f"-${whole}.{cents}", -exact),
            (f"€ {whole}", value),
            (f".{cents}", exact - value),
            (f"{top}/{bottom}", ratio),
            (f"{whole} {top % bottom or 1}/{bottom}", value + Decimal(top % bottom or 1) / bottom),
            (f"{whole}e3", value * 1000),
            ("½", Decimal("0.5")),
            (f"{whole}¾", value + Decimal("0.75")),
            (f"+{whole}", value),
            (f" {whole} ", value),
            ("".join(chr(0xFF10 + int(digit)) for digit in str(whole)), value),
        ),
    )


def stated(text: str, rng: np.random.Generator) -> str:
    """Return a sentence in which a model states the number."""
    return draw(
        rng,
        (
            f"The answer is {text}.",
            f"So the answer is: {text}",
            f"The final answer is **{text}**.",
            f"#### {text}",
            f"Thus we have \\boxed{{{text}}}.",
            f"The answer is {text} apples, since they were bought.",
            f"The answer is ({text})",
        ),
    )


def value_of(text: str) -> Decimal | None:
    """Return a normalised answer's value, also of a fraction. Ours is not asked."""
    try:
        top, _, bottom = text.partition("/")
        return Decimal(top) / Decimal(bottom or 1)
    except (InvalidOperation, ZeroDivisionError):
        return None


def close(first: Decimal | None, second: Decimal) -> bool:
    return first is not None and abs(first - second) <= abs(second) * Decimal("1e-9")


def run_case(number: int) -> Outcome:
    """Read one number that a model states, one table with a bad row, or one bad file."""
    rng = np.random.default_rng((SEED, number))
    kind = rng.choice(["stated", "number", "cell", "file"], p=[0.3, 0.3, 0.25, 0.15])
    if kind == "stated":
        text, value = written(rng)
        sentence = stated(text, rng)

        def misread(answer: answers.Answer | None) -> str:
            right = answer is None or not answer.value or close(value_of(answer.value), value)
            return "" if right else f"{sentence!r} read as {answer.value!r}"  # type: ignore[union-attr]

        return judge(lambda: answers.find_answer(sentence, "number", finished=True), misread)  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = [
        {"id": f"k{n}", "q": f"How many are {n} and {n}?", "a": str(2 * n), "c": f"t{n}"} for n in range(4)
    ]
    bad, allowed = int(rng.integers(len(rows))), True
    values = [Decimal(row["a"]) for row in rows]
    if kind == "number" and rng.random() < 0.75:
        rows[bad]["a"], values[bad] = written(rng)
    elif kind == "number":
        rows[bad]["a"], allowed = draw(rng, UNREADABLE), False
    elif kind == "cell":
        rows[bad][draw(rng, ("id", "q", "c"))], allowed = draw(rng, EMPTY), False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        content = "".join(json.dumps(row, ensure_ascii=bool(rng.integers(2))) + "\n" for row in rows)
        path.write_bytes(bad_file(rng, content) if kind == "file" else content.encode())

        def misread_rows(items: dict) -> str:
            if not allowed:
                return f"took {rows[bad]!r}"
            if [item.cluster for item in items.values()] != [row["c"] for row in rows]:
                return f"read {len(items)} rows, or other clusters"
            wrong = [
                (row["a"], item.answer)
                for row, item, value in zip(rows, items.values(), values, strict=True)
                if not close(value_of(item.answer), value)
            ]
            return f"{wrong[0][0]!r} read as {wrong[0][1]!r}" if wrong else ""

        spec = JsonLines(source="jsonl", role="reasoning", n=1, path=str(path), fields=FIELDS)
        return judge(lambda: datasets.fetch_items(spec, datasets.list_keys(spec)), misread_rows)  # type: ignore[arg-type]


def bad_file(rng: np.random.Generator, content: str) -> bytes:
    """Return the rows as another program saved them, or cut, or something else in their place."""
    place = int(rng.integers(1, len(content) - 1))
    lines = content.splitlines(keepends=True)
    doubled = lines[0].replace('"q":', '"q": "Another?", "q":')
    return draw(
        rng,
        (
            content.encode("utf-8-sig"),
            content.encode("utf-16"),
            content.replace("How", "Combién").encode("latin-1"),
            content.replace("\n", "\r\n").encode(),
            content.replace("\n", "\n\n").encode(),
            content[:place].rstrip("}\n").encode(),  # in the middle of a row
            (content[:place] + "\x00" + content[place:]).encode(),
            f"[{','.join(lines)}]".encode(),
            json.dumps({"rows": [json.loads(line) for line in lines]}, indent=1).encode(),
            b"",
            b"\n\n",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
            b"id,q,a,c\n1,Who?,2,t\n",
            (doubled + "".join(lines[1:])).encode(),
            (content + "null\n").encode(),
            (content + '"text"\n').encode(),
            (content + lines[0]).encode(),
            ("[" * 20_000).encode(),
        ),
    )
