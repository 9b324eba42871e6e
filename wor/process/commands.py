"""Run git, dvc and other commands as child processes."""

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
    """Return os.environ with the folder of ``python`` first on PATH, where stages look for it."""
    return {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}", **extra}


def dvc_command(*arguments: str) -> list[str]:
    """Return the command line of dvc with ``arguments``."""
    executable = shutil.which("dvc", path=child_environment()["PATH"])
    if executable is None:
        raise UserError("dvc", "not found", "Install the requirements: pip install -r requirements.txt")
    return [executable, *arguments]


def quiet_dvc_command(*arguments: str) -> list[str]:
    """Return the same through `wor.process.quiet_dvc`, which ends with this process."""
    dvc_command()
    return [sys.executable, "-m", "wor.process.quiet_dvc", str(os.getpid()), *arguments]


@functools.cache
def dvc_cache(project: Path) -> Path:
    """Return DVC's cache of the project. Cached, because dvc takes almost a second to answer."""
    return project / run_captured(dvc_command("cache", "dir"), where=project).strip()


def git(*arguments: str, where: Path | None = None) -> str | None:
    """Return what git prints, or None where it fails or isn't installed."""
    try:
        return run_captured(["git", *arguments], where=where)
    except (OSError, CommandFailed, UnicodeDecodeError):
        return None


class CommandFailed(Exception):  # noqa: N818 - callers decide whether it is an error
    """A command failed. ``line`` is the last error line of its output, or the last line."""

    def __init__(self, command: list[str], code: int, output: str):
        lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("hint:")]
        errors = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
        self.line = (errors or lines or [f"exit code {code}"])[-1]
        super().__init__(f"{' '.join(command)}: {self.line}")


def run_captured(command: list[str], where: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Return what ``command`` prints. Raises CommandFailed."""
    # Not text=True, which would change the line ends of a patch.
    result = subprocess.run(command, cwd=where, env=env or child_environment(), capture_output=True)
    if result.returncode:
        raise CommandFailed(command, result.returncode, (result.stderr or result.stdout).decode("utf-8", "replace"))
    return result.stdout.decode("utf-8")


def run_interactive(
    command: list[str],
    where: Path | None = None,
    env: dict[str, str] | None = None,
    stdout: IO | None = None,
    patience: float = 10,
    listens: bool = False,
) -> int:
    """Run ``command`` on this terminal and return its exit code, or INTERRUPTED after Ctrl-C.

    Ctrl-C reaches the child too, which cleans up; after ``patience`` seconds it is killed with its
    descendants. ``listens``: the child starts with SIGINT blocked and unblocks it when it is ready.
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
                _kill_tree(process.pid)


def _kill_tree(pid: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [*root.children(recursive=True), root]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
