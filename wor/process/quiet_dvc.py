"""dvc as `wor run` starts it: Ctrl-C reaches it once, and its words about that are not added to ours.

DVC puts the repository back in order when a stage fails or Ctrl-C ends it; a second Ctrl-C would leave that half done.
What it starts begins with the signal held back: a stage takes it when it listens (`interrupt.install_handlers`), not while its
interpreter starts, which would show a traceback. The shell between them has to hand that on: bash does, dash lets
every signal through.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading

from wor.process import interrupt, stage_flags

_heard = False


def _hear(number: int, frame: object) -> None:
    global _heard
    if not _heard and not stage_flags.is_set(stage_flags.KEPT):  # else its stage has ended by this signal, and dvc is tidying up
        _heard = True
        stage_flags.set_flag(stage_flags.INTERRUPTED)  # to a stage that starts just now, and did not get the signal
        raise KeyboardInterrupt


def _listen() -> None:
    """The thread that the signal is delivered to."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Event().wait()


def _worth_saying(record: logging.LogRecord) -> bool:
    """Not that it was interrupted, or that the interrupted stage failed."""
    from dvc.exceptions import ReproductionError

    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, KeyboardInterrupt) or (isinstance(error, ReproductionError) and stage_flags.is_set(stage_flags.KEPT))
    )


def main() -> int:
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job's is ignored
            signal.signal(signal.SIGINT, _hear)
            threading.Thread(target=_listen, daemon=True).start()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of this thread, which starts the stages
            os.environ["SHELL"] = shutil.which("bash") or os.environ.get("SHELL", "")  # what dvc starts them with
        from dvc.cli import main as dvc

        sys.argv[0] = "dvc"  # what its lock says of who holds it
        for handler in logging.getLogger("dvc").handlers:
            handler.addFilter(_worth_saying)
        code = dvc(sys.argv[1:])
    except KeyboardInterrupt:
        code = interrupt.EXIT_CODE
    if _heard or stage_flags.is_set(stage_flags.KEPT):
        sys.stdout.flush()
        os._exit(code)  # it takes a second to take itself apart
    return code


if __name__ == "__main__":
    sys.exit(main())
