"""Mutated params.yaml: hostile values, names and files. What is accepted must be what DVC reads."""

import copy
import datetime
import math
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dvc.utils.serialize import load_yaml

from benchmarks.hostile.outcome import Outcome, judge
from wor.config import params

SEED = 1
# No key of params.yaml may have one of these.
IMPOSSIBLE = (
    *(math.nan, math.inf, -math.inf, True, False, None, 2**70, -(2**70), {"x": 1}, [[1]], b"\xff\x00"),
    *(datetime.date(2026, 1, 1), {"a", "b"}, "\x00", "bell\x07", "\x1b[31mred", "half \ud83d", [None], [math.nan], [True]),
)
TEXTS = (
    "",
    " ",
    "é",
    "名前",
    "a/b",
    "../x",
    "~",
    "null",
    "0.7",
    "1e3",
    "{prompt}",
    "-",
    "A" * 5000,
    "a: b",
    "# no",
    "a\nb",
    "%s",
)
OPTIONAL = ("instruction", "closing", "halves", "refit_draws", "key", "cluster", "solution", "config", "files", "commit")


def leaves(values: object, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of each key and each place in a list."""
    entries: Any = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for step, value in entries:
        yield (*path, step)
        yield from leaves(value, (*path, step))


def at(values: Any, path: tuple) -> Any:
    for step in path:
        values = values[step]
    return values


def draw(rng: np.random.Generator, choices: tuple | list) -> Any:
    return choices[rng.integers(len(choices))]


def perturbed(rng: np.random.Generator, value: object) -> object:
    """Return another value, mostly of the same type, which may or may not be possible."""
    if isinstance(value, (int, float)):
        return draw(
            rng, (-value, 0, value * 10, value * 1_000_000, value + 0.5, value - 1, str(value), f"{value}x", 1e308, 1e-320)
        )
    if isinstance(value, str):
        return draw(rng, (*TEXTS, value.upper(), f" {value}", value[:-1], value * 2))
    if isinstance(value, list):
        return draw(rng, ([], value * 2, value[::-1], value[:1], value[0] if value else 1))
    if isinstance(value, dict):
        return draw(rng, ({}, [], [value], dict(list(value.items())[:-1]), {**value, "more": 1}))
    return 0  # what an earlier change has put there


def mutate_values(rng: np.random.Generator, values: dict) -> str:
    """Change one key of ``values``. Return why the result is impossible, or ''."""
    path = draw(rng, list(leaves(values)))
    parent, last = at(values, path[:-1]), path[-1]
    name, free = ".".join(map(str, path)), len(path) == 2 and str(path[0]).endswith("_specs")
    kind = rng.choice(["impossible", "perturb", "delete", "rename"], p=[0.4, 0.4, 0.1, 0.1])
    if kind == "impossible":
        parent[last] = draw(rng, IMPOSSIBLE)
        return f"{name} is {parent[last]!r}"
    if kind == "perturb":
        parent[last] = perturbed(rng, parent[last])
        return ""
    if kind == "delete":
        del parent[last]
        required = isinstance(last, str) and last not in OPTIONAL and not free
        return f"{name} is missing" if required else ""
    if isinstance(parent, list):
        parent.append(parent[last])
        return ""
    text = str(last)
    new: object = draw(rng, (text.upper() + "_", text[:-1] + "\x07", text + "s", 1.5, None, True, f"{text}.{text}"))
    parent[new] = parent.pop(last)
    return "" if free else f"{name} is called {new!r}"


def mutate_text(rng: np.random.Generator, text: str) -> bytes:
    """Return the bytes of a file that was cut, badly edited or saved by another program."""
    place, lines = int(rng.integers(len(text))), text.splitlines(keepends=True)
    line = int(rng.integers(len(lines)))
    odd = draw(rng, ("\x00", "\t", ":", "-", "'", '"', "{", "[", "&a ", "*a", "!!python/name:os.system ", "#", "\u2028", "é"))
    edited = [*lines[:line], draw(rng, (lines[line] * 2, "\t" + lines[line], "  " + lines[line], "")), *lines[line + 1 :]]
    return draw(
        rng,
        (
            text[:place].encode(),
            (text[:place] + odd + text[place:]).encode(),
            "".join(edited).encode(),
            text.encode("utf-8-sig"),
            text.replace("\n", "\r\n").encode(),
            text.encode("utf-16"),
            (text + "seed: 5\n").encode(),
            (text + "# é").encode("latin-1"),
            ("a: &x [1]\n" + text).encode(),
        ),
    )


def same(read: object, used: object) -> bool:
    """Return whether a study uses what DVC reads. A number may be written as a text."""
    if isinstance(read, dict) and isinstance(used, dict):
        return all(any(str(key) == str(other) and same(read[key], used[other]) for other in used) for key in read)
    if isinstance(read, list) and isinstance(used, list):
        return len(read) == len(used) and all(map(same, read, used))
    if isinstance(read, bool) or isinstance(used, bool):
        return read is used
    if isinstance(used, (int, float)):
        return math.isfinite(used) and abs(used) < 1e16 and float(read) == float(used)  # type: ignore[arg-type]
    return read == used and not any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in str(used))


def run_case(number: int) -> Outcome:
    """Write one mutated file and load it."""
    rng = np.random.default_rng((SEED, number))
    text = params.paths.PARAMS.read_text(encoding="utf-8")
    impossible = ""
    if rng.random() < 0.2:
        content = mutate_text(rng, text)
    else:
        values = copy.deepcopy(yaml.safe_load(text))
        for _ in range(rng.integers(1, 3)):
            impossible = mutate_values(rng, values) or impossible
        content = yaml.dump(values, sort_keys=False, allow_unicode=bool(rng.integers(2))).encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(content)

        def wrong(loaded: object) -> str:
            read = load_yaml(str(path))
            if not same(read, loaded.model_dump()):  # type: ignore[attr-defined]
                return "another value than DVC reads"
            return impossible

        return judge(lambda: params.load_params(path), wrong)
