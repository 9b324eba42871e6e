"""What `python -m stages` does with a stage: options, parameters, its log, and errors as one line."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence

from wor import storage
from wor.config import params as parameters
from wor.pipeline import graph
from wor.pipeline.progress import Log


def run_stage(stage: str, main: Callable[..., dict | None], options: Sequence[str], description: str | None) -> None:
    """Run ``main(params, log, **grid)`` of a stage, and write its log where dvc.yaml lists one.

    ``grid`` are the further parameters of ``main``, each a required option of the command line. What ``main`` returns
    goes into the log, which is one of the stage's outputs: an iteration has it even when DVC took the stage from its
    cache.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages {stage}", description=description)
    for name in list(inspect.signature(main).parameters)[2:]:
        parser.add_argument(f"--{name}", required=True)
    grid = vars(parser.parse_args(options))
    params = parameters.load_params()
    log = Log(" ".join([stage, *grid.values()]))
    extra = main(params, log, **grid) or {}
    if path := graph.log_path(graph.load_graph()[stage], grid):
        storage.write_json(path, {**log.record(), **extra})
