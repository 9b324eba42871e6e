"""dvc.lock: what each stage read and wrote, by hash."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

import yaml

from wor import paths


class Lock:
    """A dvc.lock: what each stage read and wrote, by hash."""

    def __init__(self, text: str):
        self.stages: dict[str, dict] = (yaml.safe_load(text) or {}).get("stages", {})

    def outputs(self, stage: str) -> dict[str, str]:
        """Hash by path of everything that the stage wrote, but its log."""
        outs = self.stages[stage].get("outs", [])
        return {out["path"]: out.get("md5", "") for out in outs if not out["path"].startswith(f"{paths.LOGS}/")}

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
