"""How a command or a stage ends: one line on stderr and an exit code, never a traceback unasked."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from types import TracebackType

from wor import storage
from wor.errors import UserError
from wor.process import interrupt, stage_flags

DEBUG = "WOR_DEBUG"  # if set, every error shows its traceback; the stages that DVC starts inherit it


class one_line_errors:  # noqa: N801 - reads as the statement it is
    """Turn what ends a command into one line on stderr, and an exit code.

    2: a UserError, or a full or read-only disk. 1: anything else, which is a fault of ours. 130: Ctrl-C.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == interrupt.EXIT_CODE):
            interrupt.exit_interrupted()
        if not isinstance(error, Exception):
            return
        if is_debugging():
            traceback.print_exception(error)
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            error = storage.cannot_write(Path(error.filename), error)
        exit_with_error(error)


def is_debugging() -> bool:
    return os.environ.get(DEBUG, "0") not in ("", "0")


def exit_with_error(error: Exception) -> None:
    """Say it and exit."""
    if isinstance(error, UserError):
        line, code = f"error: {error}", error.exit_code
        stage_flags.set_flag(stage_flags.REFUSED, f"{error}\n")
    else:
        said = " ".join(str(error).split())
        line, code = f"error: {type(error).__name__}{said and f': {said}'}. This is a fault of wor, not of yours.", 1
        if not is_debugging():
            line += f" Where: {_debug_command()}"
    print(line, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _debug_command() -> str:
    """The command that shows the traceback."""
    if "DVC_STAGE" in os.environ:
        return "wor --debug run"
    if sys.argv[0].endswith(("wor", "cli/__main__.py")):
        return f"wor --debug {shlex.join(sys.argv[1:])}"
    return f"{DEBUG}=1 python {shlex.join(sys.orig_argv[1:])}"
