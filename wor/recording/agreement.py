"""Compare a recomputed iteration with the recorded one, number by number."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from wor import storage
from wor.iterations import compare, registry
from wor.iterations.configuration import differences, read_configuration, used_parameters
from wor.recording.reproduce import Recomputation

TOLERANCE = 1e-3  # on another machine or with other packages: float32 sums in another order
_ABSENT = object()


@dataclass(frozen=True)
class Agreement:
    """How a recomputed file of results differs from the recorded one.

    ``different`` of ``values`` are not identical. ``worst``, at ``where``, is the largest |a - b| /
    max(1, |a|) of a number; infinite where a value is missing or a text differs.
    """

    file: str
    values: int
    different: int
    worst: float
    where: str


@dataclass(frozen=True)
class Verdict:
    """The comparison of all files, the ``first`` stage whose outputs differ, and what else does.

    ``elsewhere`` has code, packages, machine and groups that differ. ``first`` may be None.
    """

    files: list[Agreement]
    elsewhere: dict[str, compare.Pair]
    tolerance: float
    first: str | None

    @property
    def agrees(self) -> bool:
        return all(file.worst <= self.tolerance for file in self.files)


def describe_agreement(recorded: Path, recomputation: Recomputation, verdict: Verdict) -> dict:
    """Return the verdict as plain values, with the recorded and recomputed headline ``metrics``."""
    totals = {name: sum(getattr(file, name) for file in verdict.files) for name in ("values", "different")}
    metrics = compare.headline_metrics(recorded, recomputation.folder)
    return {"iteration": recorded.name, "agrees": verdict.agrees, **totals, **asdict(verdict), "metrics": metrics}


def judge_agreement(recorded: Path, recomputation: Recomputation, tolerance: float | None) -> Verdict:
    """Compare both; tolerance defaults to 0, or TOLERANCE if machine, packages or groups differ."""
    elsewhere = compare.changed_environment(recorded, recomputation.folder)
    elsewhere.pop("code.dirty", None)  # params.yaml was written from the recorded configuration
    groups = _largest_groups(recorded), _largest_groups(recomputation.folder)
    if groups[0] != groups[1]:  # they depend on the free memory
        elsewhere["largest groups"] = groups
    if tolerance is None:
        tolerance = TOLERANCE if elsewhere else 0.0
    files = compare_results(recorded / "results", recomputation.folder / "results", registry.is_published(recorded))
    first = recomputation.recorded.first_difference(recomputation.recomputed) if recomputation.recorded else None
    return Verdict(files, elsewhere, tolerance, first)


def agreement_with_published(folder: Path, experiments: Path) -> str:
    """Return a line on how an iteration agrees with a published study of its parameters, or ''."""
    for name, published in registry.published_folders(experiments).items():
        used = (used_parameters(read_configuration(part)) for part in (published, folder))
        if differences(*used):
            continue
        files = compare_results(published / "results", folder / "results", published=True)
        values, worst = sum(file.values for file in files), max(files, key=lambda file: file.worst)
        line = f"Against the published study {name}: {values:,} values"
        if not worst.worst:
            return f"{line}, all the same"
        size = "a text or a missing value" if math.isinf(worst.worst) else f"{worst.worst:.1g}"
        return (
            f"{line}, {sum(file.different for file in files):,} differ. Largest difference: {size}, {worst.where} of {worst.file}"
        )
    return ""


def _largest_groups(folder: Path) -> dict[str, dict]:
    memory = storage.read_json(folder / "env_info.json").get("memory", {})
    return {stage: entry.get("largest_groups") for stage, entry in memory.items()}


def compare_results(recorded: Path, recomputed: Path, published: bool = False) -> list[Agreement]:
    """Compare two folders' CSV and JSON by name. Floats must be equal; two nulls or NaN are.

    A published study lacks tables that repeat others, so only what it has is compared.
    """
    names = _names(recorded) | (set() if published else _names(recomputed))
    return [_compare_file(name, recorded, recomputed) for name in sorted(names)]


def _names(folder: Path) -> set[str]:
    return {path.name.removesuffix(storage.PACKED) for path in folder.iterdir()}


def _compare_file(name: str, recorded: Path, recomputed: Path) -> Agreement:
    files = [storage.find_file(folder / name) for folder in (recorded, recomputed)]
    for path, reason in zip(files, ("not recorded", "not made again"), strict=True):
        if not path.is_file():
            return Agreement(name, 0, 1, math.inf, reason)
    first, second = (dict(_values(path)) for path in files)
    keys = dict.fromkeys([*first, *second])
    distances = {key: _distance(first.get(key, _ABSENT), second.get(key, _ABSENT)) for key in keys}
    worst = max(distances.values(), default=0.0)
    where = next((key for key, distance in distances.items() if worst and distance == worst), "")
    return Agreement(name, len(distances), sum(distance > 0 for distance in distances.values()), worst, where)


def _distance(first: object, second: object) -> float:
    if isinstance(first, bool) != isinstance(second, bool):  # to Python True is 1
        return math.inf
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        if math.isfinite(first) and math.isfinite(second):
            return abs(first - second) / max(1.0, abs(first))
        if math.isnan(first) and math.isnan(second):
            return 0.0
    return 0.0 if first == second else math.inf


def _values(path: Path) -> Iterable[tuple[str, object]]:
    if path.name.removesuffix(storage.PACKED).endswith(".csv"):
        table = pd.read_csv(path)
        for column in table:
            yield from ((f"{column}, row {row}", value) for row, value in enumerate(table[column].tolist(), 1))
    else:
        yield from _leaves(storage.read_json(path), "")


def _leaves(node: object, key: str) -> Iterable[tuple[str, object]]:
    if not isinstance(node, (dict, list)) or not node:
        yield key, node
        return
    for part, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _leaves(value, f"{key}.{part}" if key else str(part))
