"""End a command or a stage with one line on stderr and an exit code, without a traceback."""

import io
import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wor import storage
from wor.errors import UserError
from wor.process import interrupt, stage_flags

DEBUG = "WOR_DEBUG"  # if set, every error shows its traceback; the stages that DVC starts inherit it


def print_in_any_encoding() -> None:
    """Print a ? for what the terminal's encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None, where the shell closed it
            stream.reconfigure(errors="replace")


def ignore_build_settings() -> None:
    """Remove what is meant for builds of packages. numpy stops at a date that is no number."""
    os.environ.pop("SOURCE_DATE_EPOCH", None)


def require_docstrings() -> None:
    """Raise UserError where Python has removed docstrings, without which transformers stops."""
    if sys.flags.optimize > 1:
        raise UserError("PYTHONOPTIMIZE", sys.flags.optimize, "transformers reads docstrings: unset it, or set it to 1")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn an exception into one line on stderr and an exit code.

    2 is a UserError, or a full or read-only disk. 130 is Ctrl-C. 1 is anything else, a bug in wor.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, KeyboardInterrupt) or error.code == interrupt.EXIT_CODE:
            interrupt.exit_interrupted()
        raise
    except Exception as error:
        if is_debugging():
            traceback.print_exception(error)
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            error = storage.cannot_write(Path(error.filename), error)
        exit_with_error(error)


def is_debugging() -> bool:
    return os.environ.get(DEBUG, "0") not in ("", "0")


def exit_with_error(error: Exception) -> None:
    """Print the error's line and exit."""
    if isinstance(error, UserError):
        line, code = f"error: {error}", error.exit_code
        stage_flags.set_flag(stage_flags.REFUSED, f"{error}\n")
    else:
        text = " ".join(str(error).split())
        line, code = f"error: {type(error).__name__}{text and f': {text}'}. This is a bug in wor.", 1
        if not is_debugging():
            line += f" For a traceback: {_debug_command()}"
    print(line, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _debug_command() -> str:
    if "DVC_STAGE" in os.environ:
        return "wor --debug run"
    if sys.argv[0].endswith(("wor", "cli/__main__.py")):
        return f"wor --debug {shlex.join(sys.argv[1:])}"
    return f"{DEBUG}=1 python {shlex.join(sys.orig_argv[1:])}"
