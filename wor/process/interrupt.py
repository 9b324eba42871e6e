"""Handle Ctrl-C: end within two seconds, say what is kept and how to resume, show no traceback.

The signal raises KeyboardInterrupt once, so that half-written files are removed. During a long
operation of torch it cannot be raised, and a thread ends the process instead. That is safe, because
outputs are renamed into place when they are complete.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from wor.process import stage_flags

EXIT_CODE = 130
CLEAR = "\r\x1b[2K\x1b[?25h"  # erases a progress bar and shows the cursor again
GRACE = 1.0  # seconds for Python to unwind before the thread ends the process


@dataclass
class _State:
    interrupted: bool = False
    deferring: bool = False
    deferred: bool = False  # the signal came while `deferring`
    waiting: bool = False  # for a child, which ends by itself
    message: str = "nothing was changed. To start again"
    stage: str = ""
    parts: list[tuple[str, int, Callable[[], int]]] = field(default_factory=list)
    exit_lock: threading.Lock = field(default_factory=threading.Lock)


_state = _State()


def install_handlers() -> None:
    """Handle SIGINT for the rest of the process, unless it is ignored, as in a background job."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGINT, _raise)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(read,), daemon=True).start()
    sys.excepthook, sys.unraisablehook = _end_or_show, _show_other_errors
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # `deferred` of the parent blocked it


def end_with_parent(number: int) -> None:
    """Have Linux send a signal to this process when its parent dies, for example by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG


@contextmanager
def deferred() -> Iterator[None]:
    """Start children with SIGINT blocked. A signal that arrives meanwhile is raised at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _state.deferring = True  # another thread of this process may still get the signal
    try:
        yield
    finally:
        _state.deferring = False
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if _state.deferred:
        raise KeyboardInterrupt


def was_interrupted() -> bool:
    return _state.interrupted


def set_message(text: str) -> None:
    """Set what the last line says before the command to type."""
    _state.message = text


def set_stage(name: str) -> None:
    """Declare that this process is a stage. Its last line then lists its finished shards."""
    _state.stage = name


def register_progress(task: str, total: int, done: Callable[[], int]) -> None:
    """Have the last line report ``done()`` of ``total`` items of a task as kept."""
    _state.parts.append((task, total, done))


@contextmanager
def waiting_for_child() -> Iterator[None]:
    """Keep the thread from ending this process inside."""
    _state.waiting = True
    try:
        yield
    finally:
        _state.waiting = False


def exit_interrupted() -> None:
    """Print what is kept and end the process. Never returns."""
    with _state.exit_lock:  # never released: the other thread must not print too
        try:
            if sys.stderr.isatty():
                print(CLEAR, end="", file=sys.stderr)
            if not (_state.stage and stage_flags.set_flag(stage_flags.KEPT, _kept_items())):
                print(f"interrupted: {_last_line()}", file=sys.stderr)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except OSError:  # the reader of the output is gone
            pass
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(EXIT_CODE)  # an orderly exit of torch or Ray takes seconds


def _kept_items() -> str:
    parts = ", ".join(f"{task} {done()} of {total}" for task, total, done in _state.parts)
    return f"of {_state.stage}: {parts}" if parts else f"nothing of {_state.stage}"


def _last_line() -> str:
    if not _state.stage:
        name = Path(sys.argv[0]).name
        command = ["wor" if name in ("-m", "__main__.py") else name, *sys.argv[1:]]  # python -m sets "-m" first
        return f"{_state.message}: {shlex.join(command)}"
    line = f"kept {_kept_items()}. The same command resumes"
    return f"{line}." if "DVC_STAGE" in os.environ else f"{line}: python {shlex.join(sys.orig_argv[1:])}"


def _raise(number: int, frame: object) -> None:
    if _state.interrupted:  # a second signal would disturb the clean-up
        return
    _state.interrupted, _state.deferred = True, _state.deferring
    if not _state.deferring:
        raise KeyboardInterrupt


def _end_late(read: int) -> None:
    while signal.SIGINT not in os.read(read, 64):
        pass
    time.sleep(GRACE)
    if not _state.waiting:
        exit_interrupted()


def _end_or_show(kind: type, error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        exit_interrupted()
    sys.__excepthook__(kind, error, trace)


def _show_other_errors(unraisable: sys.UnraisableHookArgs) -> None:
    # KeyboardInterrupt in a callback of the garbage collector is lost: the thread ends the process.
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
