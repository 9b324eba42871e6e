"""Represent one line of `wor doctor`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The result of a check: what was checked, its status, what was found, and what to do.

    ``remedy`` is empty if ok. A ``fail`` stops or spoils a run, a ``warn`` costs time or a step.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def ok(name: str, detail: str) -> Finding:
    return Finding(name, "ok", detail)


def warn(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name, "warn", detail, remedy)


def fail(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name, "fail", detail, remedy)


def short_path(path: Path) -> str:
    """Return ``path`` relative to this folder or the home folder, to name no machine."""
    path = path.absolute()  # not resolved, as a virtual environment's python is a link out of it
    home = Path(os.path.expanduser("~"))  # unlike Path.home(), no error for a user without one
    for base, prefix in ((Path.cwd(), "."), (home, "~")):
        if path.is_relative_to(base):
            return str(Path(prefix) / path.relative_to(base))
    return str(path)


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
