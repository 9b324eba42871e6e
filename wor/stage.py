"""What every stage script shares: arguments, parameters, its log, and errors as one line."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from wor import interrupt, notices, paths, storage
from wor import params as parameters
from wor.errors import UserError
from wor.progress import Log

DEBUG = "WOR_DEBUG"  # set, every error shows where it came from; the stages that dvc starts inherit it


def run(stage: str, work: Callable[..., None], *grid: str, logged: bool = True) -> None:
    """Run ``work(params, log, **grid)``, with each name of ``grid`` a command-line option; then exit.

    The stage's log becomes one of its outputs, so that an iteration can show it even when DVC took the
    stage from its cache.
    """
    gc.freeze()  # what is imported stays
    gc.enable()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=sys.modules["__main__"].__doc__)
    for name in grid:
        parser.add_argument(f"--{name}", required=True)
    arguments = vars(parser.parse_args())
    name = " ".join([stage, *arguments.values()])
    interrupt.stage(name)
    with one_line_errors():
        params = parameters.load()
        log = Log(name)
        extra = work(params, log, **arguments) or {}
        if logged:
            storage.write_json(paths.log(stage, *arguments.values()), {**log.record(), **extra})


class one_line_errors:  # noqa: N801 - reads as the statement it is
    """Turn what ends a command into one line on stderr, and an exit code.

    2: a UserError, or a full or read-only disk. 1: anything else, which is a fault of ours. 130: Ctrl-C.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == interrupt.CODE):
            interrupt.end()
        if not isinstance(error, Exception):
            return
        if debugging():
            traceback.print_exception(error)
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            error = storage.cannot_write(Path(error.filename), error)
        fail(error)


def debugging() -> bool:
    return os.environ.get(DEBUG, "0") not in ("", "0")


def fail(error: Exception) -> None:
    """Say it and exit."""
    if isinstance(error, UserError):
        line, code = f"error: {error}", error.exit_code
        notices.give(notices.REFUSED, f"{error}\n")
    else:
        said = " ".join(str(error).split())
        line, code = f"error: {type(error).__name__}{said and f': {said}'}. This is a fault of wor, not of yours.", 1
        if not debugging():
            line += f" Where: {_again()}"
    print(line, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _again() -> str:
    """The command that shows the traceback."""
    import shlex

    if "DVC_STAGE" in os.environ:
        return "wor --debug run"
    if sys.argv[0].endswith(("wor", "cli/__main__.py")):
        return f"wor --debug {shlex.join(sys.argv[1:])}"
    return f"{DEBUG}=1 python {shlex.join(sys.orig_argv[1:])}"
