"""The pipeline as dvc.yaml declares it: its stages, their grids and their logs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from wor import paths
from wor.config.params import Params

Grid = dict[str, str]  # of one instance of a stage: "model" and "dataset" to their names


def load_graph(path: Path = paths.PIPELINE) -> dict[str, dict]:
    """Return the stages of dvc.yaml by name, in its order, which is one in which they can run."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]


def stage_grids(stage: dict, params: Params) -> Iterator[Grid]:
    """Yield the grid of each instance of a stage; an empty one for a stage without a matrix."""
    axes = {
        axis: getattr(params, listed.removeprefix("${").removesuffix("}")) for axis, listed in stage.get("matrix", {}).items()
    }
    for names in itertools.product(*axes.values()):
        yield dict(zip(axes, names, strict=True))


def instance_name(stage: str, grid: Grid) -> str:
    """Return DVC's name of an instance: ``activations@smollm-135m-wiki``."""
    return f"{stage}@{'-'.join(grid.values())}" if grid else stage


def log_path(stage: dict, grid: Grid) -> Path | None:
    """Return the log among the outputs of a stage's instance; None for a stage that keeps none."""
    outs = (out for out in stage.get("outs", []) if out.startswith(f"{paths.LOGS}/"))
    return next((Path(re.sub(r"\$\{item\.(\w+)\}", lambda match: grid[match[1]], out)) for out in outs), None)


def log_paths(params: Params) -> list[Path]:
    """Return the logs of every stage of a run, in the pipeline's order."""
    instances = ((stage, grid) for stage in load_graph().values() for grid in stage_grids(stage, params))
    return [path for stage, grid in instances if (path := log_path(stage, grid))]
