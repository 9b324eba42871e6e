"""Read dvc.yaml: the stages, their instances and their logs. No other list of stages exists."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from wor import paths
from wor.config.params import Params
from wor.errors import UserError

Grid = dict[str, str]  # "model" and "dataset" of one instance of a stage
RUNNER = "wor/pipeline"  # a dependency of every stage that runs a model, and of no other stage of one


def load_graph(path: Path = paths.PIPELINE) -> dict[str, dict]:
    """Return the stages of dvc.yaml by name, in an order in which they can run."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]


def instances(params: Params) -> Iterator[tuple[str, Grid, dict]]:
    """Yield the stage, grid and dvc.yaml block of each instance. No matrix gives an empty grid."""
    for stage, block in load_graph().items():
        if "foreach" in block:
            raise UserError(f"{paths.PIPELINE}: {stage}", "foreach", "Write it as a matrix over models or datasets")
        axes = {
            axis: names if isinstance(names, list) else getattr(params, names.removeprefix("${").removesuffix("}"))
            for axis, names in block.get("matrix", {}).items()
        }
        for values in itertools.product(*axes.values()):
            yield stage, dict(zip(axes, values, strict=True)), block


def model_instances(params: Params, model: str) -> list[tuple[str, Grid]]:
    """Return the stage and grid of every instance that runs ``model``, in the pipeline's order."""
    return [
        (stage, grid)
        for stage, grid, block in instances(params)
        if RUNNER in block.get("deps", []) and grid.get("model") == model
    ]


def instance_name(stage: str, grid: Grid) -> str:
    """Return DVC's name of an instance, such as ``activations@smollm-135m-wiki``."""
    return f"{stage}@{'-'.join(grid.values())}" if grid else stage


def log_path(block: dict, grid: Grid) -> Path | None:
    """Return the log among the outputs of a stage's instance, or None."""
    names = (next(iter(out)) if isinstance(out, dict) else out for out in block.get("outs", []))
    outs = (name for name in names if name.startswith(f"{paths.LOGS}/"))
    return next((Path(re.sub(r"\$\{item\.(\w+)\}", lambda match: grid[match[1]], out)) for out in outs), None)


def log_paths(params: Params) -> list[Path]:
    """Return the logs of every stage of a run, in the pipeline's order."""
    return [path for _, grid, block in instances(params) if (path := log_path(block, grid))]
