"""git and dvc, called as a person would call them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

from wor.errors import UserError
from wor.process import interrupt

INTERRUPTED = interrupt.EXIT_CODE


def child_environment(python: Path = Path(sys.executable), **extra: str) -> dict[str, str]:
    """This process's, with ``python``'s folder first on the path: a stage's command is ``python -m ...``, and has to find
    the one with the packages."""
    return {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}", **extra}


def dvc_command(*arguments: str) -> list[str]:
    """The command line of dvc with ``arguments``."""
    found = shutil.which("dvc", path=child_environment()["PATH"])
    if found is None:
        raise UserError("dvc", "not found", "Install the requirements: pip install -r requirements.txt")
    return [found, *arguments]


def quiet_dvc_command(*arguments: str) -> list[str]:
    """The same through `wor.process.quiet_dvc`, for what may take hours and be interrupted."""
    dvc_command()
    return [sys.executable, "-m", "wor.process.quiet_dvc", *arguments]


@functools.cache
def dvc_cache(project: Path) -> Path:
    """Where DVC keeps the project's files. Asked once: dvc takes the better part of a second to answer."""
    return project / run_captured(dvc_command("cache", "dir"), where=project).strip()


def git(*arguments: str, where: Path | None = None) -> str | None:
    """What git prints, or None where it fails or isn't there."""
    try:
        return run_captured(["git", *arguments], where=where)
    except (OSError, CommandFailed, UnicodeDecodeError):
        return None


class CommandFailed(Exception):  # noqa: N818 - not an error until someone says so
    """A command that exited with another code than 0. ``line`` is the last fault that it named, else its last line."""

    def __init__(self, command: list[str], code: int, said: str):
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
        named = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
        self.line = (named or lines or [f"exit code {code}"])[-1]
        super().__init__(f"{' '.join(command)}: {self.line}")


def run_captured(command: list[str], where: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What ``command`` prints. Raises Failed."""
    # Decoded here: Python's own text mode would turn the line ends of a patch into others.
    done = subprocess.run(command, cwd=where, env=env or child_environment(), capture_output=True)
    if done.returncode:
        raise CommandFailed(command, done.returncode, (done.stderr or done.stdout).decode("utf-8", "replace"))
    return done.stdout.decode("utf-8")


def run_interactive(
    command: list[str],
    where: Path | None = None,
    env: dict[str, str] | None = None,
    stdout: IO | None = None,
    patience: float = 10,
    listens: bool = False,
) -> int:
    """Run ``command`` on this terminal, or with its output to ``stdout``; its exit code, INTERRUPTED after Ctrl-C.

    It got the same signal, and has things to put away; after ``patience`` seconds it is killed with all it started.
    ``listens``: it takes the signal up when it is ready to.
    """
    with interrupt.waiting_for_child():
        process = None
        try:
            with interrupt.deferred() if listens else nullcontext():
                process = subprocess.Popen(command, cwd=where, env=env or child_environment(), stdout=stdout)
        except KeyboardInterrupt:
            if process is None:
                raise
        while True:
            try:
                code = process.wait(patience if interrupt.was_interrupted() else None)
                return INTERRUPTED if interrupt.was_interrupted() else code
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                _kill(process.pid)


def _kill(pid: int) -> None:
    """A process and everything that it started."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        above = psutil.Process(pid)
        for process in [*above.children(recursive=True), above]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
