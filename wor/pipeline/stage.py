"""Run a stage: parse its options, load the parameters and write its log."""

import argparse
import inspect
from collections.abc import Callable, Sequence

from wor import storage
from wor.config import params as parameters
from wor.pipeline import graph
from wor.pipeline.progress import Log


def run_stage(stage: str, main: Callable[..., dict | None], options: Sequence[str], description: str | None) -> None:
    """Run ``main(params, log, **grid)`` of a stage, and write its log where dvc.yaml lists one.

    Each further parameter of ``main`` is a required option. The log includes what ``main`` returns.
    It is an output of the stage, so that it exists when DVC takes the stage from its cache.
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
