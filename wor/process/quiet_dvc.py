"""Run dvc for `wor run`: ``python -m wor.process.quiet_dvc PARENT_PID DVC_ARGUMENTS...``

It ends with `wor`, takes Ctrl-C once, and drops log lines that only distract. DVC restores the
repository after a failed stage, which a second Ctrl-C would disturb. Stages start with SIGINT
blocked and unblock it in `interrupt.install_handlers`, as a signal during the start of Python would
show a traceback. bash passes the blocked signal on to the stage; dash does not.
"""

import logging
import os
import shutil
import signal
import sys
import threading
from contextlib import suppress

import psutil

from wor.process import interrupt, stage_flags

_interrupted = False


def _on_sigint(number: int, frame: object) -> None:
    global _interrupted
    # If KEPT is set, this signal has ended the stage, and dvc is restoring the repository.
    if not _interrupted and not stage_flags.is_set(stage_flags.KEPT):
        _interrupted = True
        stage_flags.set_flag(stage_flags.INTERRUPTED)  # for a stage that starts now and missed the signal
        raise KeyboardInterrupt


def _on_parent_death(number: int, frame: object) -> None:
    stage_flags.set_flag(stage_flags.INTERRUPTED)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGINT)
    if not children:  # otherwise dvc ends with its stage
        _on_sigint(number, frame)


def _receive_sigint() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Event().wait()


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Drop lines on the interrupt, on its stage, and on outputs yet to be made. Explain a kill."""
    from dvc.exceptions import ReproductionError

    error = record.exc_info[1] if record.exc_info else None
    cause = error
    while cause and cause.__cause__:
        cause = cause.__cause__
    command, _, code = str(cause).removeprefix("failed to run: ").rpartition(", exited with ")
    if code in ("-9", "137"):
        remedy = "Close other programs, or set compute.memory_gib. The same command resumes"
        print(f"error: {command}: killed, perhaps because memory ran out. {remedy}", file=sys.stderr, flush=True)
        return False
    is_stage_interrupted = isinstance(error, ReproductionError) and stage_flags.is_set(stage_flags.KEPT)
    return not (is_stage_interrupted or isinstance(error, KeyboardInterrupt) or str(record.msg).startswith("No file hash info"))


def main(parent: int, *arguments: str) -> int:
    """Run dvc with ``arguments`` and return its exit code. ``parent`` is wor's process ID."""
    try:
        signal.signal(signal.SIGTERM, _on_parent_death)
        interrupt.end_with_parent(signal.SIGTERM)
        if os.getppid() != parent:  # it died before the call
            return interrupt.EXIT_CODE
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job ignores it
            signal.signal(signal.SIGINT, _on_sigint)
            threading.Thread(target=_receive_sigint, daemon=True).start()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # in this thread, which starts the stages
            os.environ["SHELL"] = shutil.which("bash") or os.environ.get("SHELL", "")  # dvc's shell for stages
        from dvc.cli import main as dvc

        sys.argv = ["dvc", *arguments]  # dvc's lock names its holder by it
        for name in ("dvc", "dvc_data"):
            for handler in logging.getLogger(name).handlers:
                handler.addFilter(_is_worth_showing)
        code = dvc(list(arguments))
    except KeyboardInterrupt:
        code = interrupt.EXIT_CODE
    if _interrupted or stage_flags.is_set(stage_flags.KEPT):
        sys.stdout.flush()
        os._exit(code)  # an orderly exit takes a second
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
