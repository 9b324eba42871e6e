"""Ctrl-C: the process ends within two seconds, says what is kept and how to go on, and shows no traceback.

The signal raises KeyboardInterrupt as ever, once: what is being written is put away on the way out. Where Python
does not come to it, as in a long operation of torch, a thread ends the process: whatever is to last was renamed
into place when it was whole.
"""

from __future__ import annotations

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

from wor.process import stage_flags

EXIT_CODE = 130
CLEAR = "\r\x1b[2K\x1b[?25h"  # a bar that was being drawn goes, and the cursor that it hid comes back
GRACE = 1.0  # seconds to get out of what is being done


@dataclass
class _State:
    came: bool = False
    held: bool = False
    put_off: bool = False  # it came while it was held back
    waiting: bool = False  # for a child, which ends by itself
    words: str = "nothing was changed; to begin again"
    stage: str = ""
    parts: list[tuple[str, int, Callable[[], int]]] = field(default_factory=list)
    ending: threading.Lock = field(default_factory=threading.Lock)


_state = _State()


def install_handlers() -> None:
    """Listen for the rest of the process, where SIGINT still is Python's own (a background job's is ignored)."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGINT, _raise)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(read,), daemon=True).start()
    sys.excepthook, sys.unraisablehook = _end_or_show, _show_unless_ours
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see held


@contextmanager
def deferred() -> Iterator[None]:
    """What is started inside gets SIGINT when it listens."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _state.held = True  # another thread of this process may still get it
    try:
        yield
    finally:
        _state.held = False
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if _state.put_off:
        raise KeyboardInterrupt


def was_interrupted() -> bool:
    return _state.came


def set_message(text: str) -> None:
    """What is kept of this command, up to the command that goes on."""
    _state.words = text


def set_stage(name: str) -> None:
    """This process is a stage: what it keeps are the shards that it tells of."""
    _state.stage = name


def register_progress(what: str, total: int, done: Callable[[], int]) -> None:
    """When it comes to it, ``done()`` of ``total`` items of a part are safe."""
    _state.parts.append((what, total, done))


@contextmanager
def waiting_for_child() -> Iterator[None]:
    """Inside, nothing ends this process but its own way out."""
    _state.waiting = True
    try:
        yield
    finally:
        _state.waiting = False


def exit_interrupted() -> None:
    """Say what is kept, and end; never comes back."""
    with _state.ending:  # held to the end: the other thread has nothing to add
        try:
            if sys.stderr.isatty():
                print(CLEAR, end="", file=sys.stderr)
            if not (_state.stage and stage_flags.set_flag(stage_flags.KEPT, _kept())):
                print(f"interrupted: {_line()}", file=sys.stderr)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except OSError:  # nobody listens any more
            pass
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(EXIT_CODE)  # torch, Ray and the like take their time to leave


def _kept() -> str:
    parts = ", ".join(f"{what} {done()} of {total}" for what, total, done in _state.parts)
    return f"of {_state.stage}: {parts}" if parts else f"nothing of {_state.stage}"


def _line() -> str:
    if not _state.stage:
        name = Path(sys.argv[0]).name
        command = ["wor" if name in ("-m", "__main__.py") else name, *sys.argv[1:]]  # of python -m, before and after it is found
        return f"{_state.words}: {shlex.join(command)}"
    line = f"kept is {_kept()}; the same command goes on from there"
    return line if "DVC_STAGE" in os.environ else f"{line}: python {shlex.join(sys.orig_argv[1:])}"


def _raise(number: int, frame: object) -> None:
    if _state.came:  # a second one would disturb what is being put away
        return
    _state.came, _state.put_off = True, _state.held
    if not _state.held:
        raise KeyboardInterrupt


def _end_late(read: int) -> None:
    while signal.SIGINT not in os.read(read, 64):
        pass
    time.sleep(GRACE)
    if not _state.waiting:
        exit_interrupted()


def _end_or_show(kind: type, error: BaseException, trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        exit_interrupted()
    sys.__excepthook__(kind, error, trace)


def _show_unless_ours(lost: sys.UnraisableHookArgs) -> None:
    """The signal came where nothing can be raised, as in a callback of the garbage collector: the thread ends the process."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
