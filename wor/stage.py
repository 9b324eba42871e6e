"""What every stage script shares: arguments, parameters, its log, and errors as one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from wor import params as parameters
from wor import paths, storage
from wor.errors import UserError
from wor.progress import Log


def run(stage: str, work: Callable[..., None], *grid: str, logged: bool = True) -> None:
    """Run ``work(params, log, **grid)``, with each name of ``grid`` a command-line option; then exit.

    The stage's log becomes one of its outputs, so that an iteration can show it even when DVC took the
    stage from its cache.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=sys.modules["__main__"].__doc__)
    for name in grid:
        parser.add_argument(f"--{name}", required=True)
    arguments = vars(parser.parse_args())
    with one_line_errors():
        params = parameters.load()
        log = Log(" ".join([stage, *arguments.values()]))
        extra = work(params, log, **arguments) or {}
        if logged:
            storage.write_json(paths.log(stage, *arguments.values()), {**log.record(), **extra})


class one_line_errors:  # noqa: N801 - reads as the statement it is
    """Turn a UserError, and a full or read-only disk, into one line and exit code 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UserError):
            fail(error)
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            fail(storage.cannot_write(Path(error.filename), error))


REFUSED = "WOR_REFUSED"  # names a file in which `wor run` looks for a stage's refusal: dvc has one exit code for all


SHOWN = "WOR_SHOWN"  # names a file that the iteration stage makes when it has shown the results


def fail(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr, flush=True)
    if report := os.environ.get(REFUSED):
        Path(report).write_text(f"{error}\n", encoding="utf-8")
    raise SystemExit(error.exit_code)
