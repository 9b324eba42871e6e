"""One line of `wor doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it stands, what was found there, and what to do about it.

    ``remedy`` is empty exactly where ``status`` is ok. A run is stopped or spoilt by a ``fail``; a ``warn`` costs
    time, or a later step.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Finding:
    return Finding(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, "fail", found, remedy)


def short_path(path: Path) -> str:
    """``path`` from this folder, else from the user's home, else whole: a report that is passed on names no machine."""
    path = path.absolute()  # not resolved: a virtual environment's python is a link out of it
    for base, prefix in ((Path.cwd(), "."), (Path.home(), "~")):
        if path.is_relative_to(base):
            return str(Path(prefix) / path.relative_to(base))
    return str(path)


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
