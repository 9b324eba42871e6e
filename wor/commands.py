"""git and dvc, called as a person would call them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from wor.errors import UserError

INTERRUPTED = 130


def environment(**extra: str) -> dict[str, str]:
    """This process's, with this interpreter's folder first on the path: a stage's command is ``python -m ...``, and has
    to find the one with the packages."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", **extra}


def dvc(*arguments: str) -> list[str]:
    """The command line of dvc with ``arguments``."""
    found = shutil.which("dvc", path=environment()["PATH"])
    if found is None:
        raise UserError("dvc", "not found", "Install the requirements: pip install -r requirements.txt")
    return [found, *arguments]


def git(*arguments: str, where: Path | None = None) -> str | None:
    """What git prints, or None where it fails or isn't there."""
    try:
        return run(["git", *arguments], where=where)
    except (OSError, Failed, UnicodeDecodeError):
        return None


class Failed(Exception):  # noqa: N818 - not an error until someone says so
    """A command that exited with another code than 0. ``line`` is the last that it said."""

    def __init__(self, command: list[str], code: int, said: str):
        self.code = code
        self.line = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), f"exit code {code}")
        super().__init__(f"{' '.join(command)}: {self.line}")


def run(command: list[str], where: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What ``command`` prints. Raises Failed."""
    done = subprocess.run(command, cwd=where, env=env or environment(), capture_output=True, text=True)
    if done.returncode:
        raise Failed(command, done.returncode, done.stderr or done.stdout)
    return done.stdout


def show(command: list[str], where: Path | None = None, env: dict[str, str] | None = None) -> int:
    """Run ``command`` on this terminal; its exit code, INTERRUPTED after Ctrl-C."""
    try:
        return subprocess.call(command, cwd=where, env=env or environment())
    except KeyboardInterrupt:
        return INTERRUPTED
