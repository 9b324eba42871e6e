"""Whether two runs gave the same: every number of their results, and the stage where they part."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from wor import storage
from wor.iterations import compare
from wor.recording.reproduce import Recomputation

TOLERANCE = 1e-3  # where machine, packages or groups are others: float32 sums in another order


@dataclass(frozen=True)
class Agreement:
    """A file of results held against its recorded self.

    values : how many it has. different : how many are not identical. worst : the largest difference among
    the numbers, |a - b| / max(1, |a|), infinite where one is missing or a text differs; ``where`` it is.
    """

    file: str
    values: int
    different: int
    worst: float
    where: str


@dataclass(frozen=True)
class Verdict:
    """``files`` of results held against their recorded selves; ``elsewhere`` is what the second run had otherwise."""

    files: list[Agreement]
    elsewhere: dict[str, tuple[object, object]]
    tolerance: float
    first: str | None

    @property
    def agrees(self) -> bool:
        return all(file.worst <= self.tolerance for file in self.files)

    @property
    def values(self) -> int:
        return sum(file.values for file in self.files)

    @property
    def different(self) -> int:
        return sum(file.different for file in self.files)


def describe_agreement(recorded: Path, again: Recomputation, verdict: Verdict) -> dict:
    """The verdict with its sums, and ``metrics``: the headline as recorded and as recomputed."""
    sums = {name: getattr(verdict, name) for name in ("agrees", "values", "different")}
    return {"iteration": recorded.name, **sums, **asdict(verdict), "metrics": compare.headline_metrics(recorded, again.folder)}


def judge_agreement(recorded: Path, again: Recomputation, tolerance: float | None) -> Verdict:
    """Hold a recomputed iteration against the recorded one. ``tolerance`` None: 0, or TOLERANCE where it ran otherwise."""
    elsewhere = compare.changed_environment(recorded, again.folder)
    elsewhere.pop("code.dirty", None)  # params.yaml was written from the recorded configuration
    groups = [_largest_groups(folder) for folder in (recorded, again.folder)]
    if groups[0] != groups[1]:  # as large as the free memory allowed
        elsewhere["largest groups"] = tuple(groups)
    if tolerance is None:
        tolerance = TOLERANCE if elsewhere else 0.0
    files = compare_results(recorded / "results", again.folder / "results")
    first = again.recorded.first_difference(again.recomputed) if again.recorded else None
    return Verdict(files, elsewhere, tolerance, first)


def _largest_groups(folder: Path) -> dict[str, dict]:
    memory = storage.read_json(folder / "env_info.json").get("memory", {})
    return {stage: entry.get("largest_groups") for stage, entry in memory.items()}


def compare_results(recorded: Path, recomputed: Path) -> list[Agreement]:
    """Every CSV and JSON file of the two folders, by name. Numbers must be equal as floats; nulls and NaN equal each other."""
    names = sorted({path.name for folder in (recorded, recomputed) for path in folder.iterdir()})
    return [_file(name, recorded / name, recomputed / name) for name in names]


def _file(name: str, recorded: Path, recomputed: Path) -> Agreement:
    for path, said in ((recorded, "not recorded"), (recomputed, "not made again")):
        if not path.is_file():
            return Agreement(name, 0, 1, math.inf, said)
    one, two = dict(_values(recorded)), dict(_values(recomputed))
    apart = {place: _distance(one.get(place, _ABSENT), two.get(place, _ABSENT)) for place in dict.fromkeys([*one, *two])}
    where = max(apart, key=apart.get, default="")
    worst = apart.get(where, 0.0)
    return Agreement(name, len(apart), sum(value > 0 for value in apart.values()), worst, where if worst else "")


_ABSENT = object()


def _distance(one: object, two: object) -> float:
    if isinstance(one, bool) != isinstance(two, bool):  # to Python True is 1
        return math.inf
    numbers = [isinstance(value, (int, float)) for value in (one, two)]
    if all(numbers) and math.isfinite(one) and math.isfinite(two):
        return abs(one - two) / max(1.0, abs(one))
    if all(numbers) and math.isnan(one) and math.isnan(two):
        return 0.0
    return 0.0 if one == two else math.inf


def _values(path: Path) -> Iterable[tuple[str, object]]:
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        for column in table:
            yield from ((f"{column}, row {row}", value) for row, value in enumerate(table[column].tolist(), 1))
    else:
        yield from _leaves(storage.read_json(path), "")


def _leaves(node: object, place: str) -> Iterable[tuple[str, object]]:
    if not isinstance(node, (dict, list)) or not node:
        yield place, node
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _leaves(value, f"{place}.{key}" if place else str(key))
