"""Read dvc.lock: the hash of everything that each stage read and wrote."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

import yaml

from wor import paths


class Lock:
    """The content of a dvc.lock."""

    def __init__(self, text: str):
        self.stages: dict[str, dict] = (yaml.safe_load(text) or {}).get("stages", {})

    def outputs(self, stage: str) -> dict[str, str]:
        """Return the hash of everything that the stage wrote, by path, without its log."""
        outs = self.stages[stage].get("outs", [])
        return {out["path"]: out.get("md5", "") for out in outs if not out["path"].startswith(f"{paths.LOGS}/")}

    def order(self, stages: Iterable[str]) -> list[str]:
        """Return ``stages`` sorted so that each comes after those whose outputs it reads."""
        stages = list(stages)
        before = {stage: [other for other in stages if other != stage and self._reads(stage, other)] for stage in stages}
        return list(TopologicalSorter(before).static_order())

    def _reads(self, stage: str, other: str) -> bool:
        """Return whether ``stage`` reads an output of ``other``, a part of one, or its folder."""
        deps, outs = (
            [PurePosixPath(entry["path"]) for entry in self.stages[name].get(kind, [])]
            for name, kind in ((stage, "deps"), (other, "outs"))
        )
        return any(dep == out or dep in out.parents or out in dep.parents for dep in deps for out in outs)

    def downstream(self, start: str, stages: Iterable[str]) -> list[str]:
        """Return ``start``, a stage or all instances of one, and every stage that depends on it."""
        ordered = self.order(stages)
        result = {stage for stage in ordered if start in (stage, stage.split("@")[0])}
        for stage in ordered:
            if any(self._reads(stage, other) for other in result - {stage}):
                result.add(stage)
        return [stage for stage in ordered if stage in result]

    def first_difference(self, other: Lock) -> str | None:
        """Return the first stage, in the pipeline's order, whose outputs differ in ``other``."""
        shared = [stage for stage in self.order(self.stages) if stage in other.stages]
        return next((stage for stage in shared if self.outputs(stage) != other.outputs(stage)), None)
