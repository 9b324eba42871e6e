"""Whether two runs gave the same: every number of their results, and the stage where they part."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from wor import storage
from wor.iterations import compare

if TYPE_CHECKING:
    from wor.iterations.reproduce import Again

TOLERANCE = 1e-3  # where machine, packages or groups are others: float32 sums in another order
LOGS = "data/logs"  # what a stage said and how long it took is never twice the same


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


def described(recorded: Path, again: Again, verdict: Verdict) -> dict:
    """The verdict with its sums, and ``metrics``: the headline as recorded and as recomputed."""
    sums = {name: getattr(verdict, name) for name in ("agrees", "values", "different")}
    return {"iteration": recorded.name, **sums, **asdict(verdict), "metrics": compare.metrics(recorded, again.folder)}


def judge(recorded: Path, again: Again, tolerance: float | None) -> Verdict:
    """Hold a recomputed iteration against the recorded one. ``tolerance`` None: 0, or TOLERANCE where it ran otherwise."""
    elsewhere = compare.environment(recorded, again.folder)
    elsewhere.pop("code.dirty", None)  # params.yaml was written from the recorded configuration
    groups = [_largest_groups(folder) for folder in (recorded, again.folder)]
    if groups[0] != groups[1]:  # as large as the free memory allowed
        elsewhere["largest groups"] = tuple(groups)
    if tolerance is None:
        tolerance = TOLERANCE if elsewhere else 0.0
    files = results(recorded / "results", again.folder / "results")
    first = again.recorded.first_difference(again.recomputed) if again.recorded else None
    return Verdict(files, elsewhere, tolerance, first)


def _largest_groups(folder: Path) -> dict[str, dict]:
    memory = storage.read_json(folder / "env_info.json").get("memory", {})
    return {stage: entry.get("largest_groups") for stage, entry in memory.items()}


def results(recorded: Path, recomputed: Path) -> list[Agreement]:
    """Every CSV and JSON file of the two folders, by name. Numbers must be equal as floats; nulls and NaN equal each other."""
    names = sorted({path.name for folder in (recorded, recomputed) for path in folder.iterdir()})
    return [_file(name, recorded / name, recomputed / name) for name in names]


def _file(name: str, recorded: Path, recomputed: Path) -> Agreement:
    for path, said in ((recorded, "not recorded"), (recomputed, "not made again")):
        if not path.is_file():
            return Agreement(name, 0, 1, math.inf, said)
    one, two = dict(_values(recorded)), dict(_values(recomputed))
    apart = {place: _apart(one.get(place, _ABSENT), two.get(place, _ABSENT)) for place in dict.fromkeys([*one, *two])}
    where = max(apart, key=apart.get, default="")
    worst = apart.get(where, 0.0)
    return Agreement(name, len(apart), sum(value > 0 for value in apart.values()), worst, where if worst else "")


_ABSENT = object()


def _apart(one: object, two: object) -> float:
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


class Lock:
    """A dvc.lock: what each stage read and wrote, by hash."""

    def __init__(self, text: str):
        self.stages: dict[str, dict] = (yaml.safe_load(text) or {}).get("stages", {})

    def outputs(self, stage: str) -> dict[str, str]:
        """Hash by path of everything that the stage wrote, but its log."""
        outs = self.stages[stage].get("outs", [])
        return {out["path"]: out.get("md5", "") for out in outs if not out["path"].startswith(LOGS)}

    def order(self, stages: Iterable[str]) -> list[str]:
        """``stages``, each after those whose outputs it reads."""
        stages = list(stages)
        before = {stage: [other for other in stages if other != stage and self._reads(stage, other)] for stage in stages}
        return list(TopologicalSorter(before).static_order())

    def _reads(self, stage: str, other: str) -> bool:
        """Whether ``stage`` depends on an output of ``other``, on a folder that holds one, or on a part of one."""
        read, written = (
            [PurePosixPath(entry["path"]) for entry in self.stages[name].get(kind, [])]
            for name, kind in ((stage, "deps"), (other, "outs"))
        )
        return any(dep == out or dep in out.parents or out in dep.parents for dep in read for out in written)

    def downstream(self, start: str, stages: Iterable[str]) -> list[str]:
        """``start`` (a stage, or all of a matrix by its name) and everything that reads from it, in order."""
        ordered = self.order(stages)
        found = [stage for stage in ordered if start in (stage, stage.split("@")[0])]
        for stage in ordered:
            if stage not in found and any(self._reads(stage, other) for other in found):
                found.append(stage)
        return [stage for stage in ordered if stage in found]

    def first_difference(self, other: Lock) -> str | None:
        """The first stage, in order of the pipeline, that wrote something else in ``other``."""
        both = [stage for stage in self.order(self.stages) if stage in other.stages]
        return next((stage for stage in both if self.outputs(stage) != other.outputs(stage)), None)
