"""What a stage tells `wor run`, past dvc, which has one exit code for all: a file each in a folder that is named here."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDER = "WOR_NOTICES"
REFUSED, SHOWN, KEPT, INTERRUPTED = "refused", "shown", "kept", "interrupted"


def set_flag(name: str, text: str = "") -> bool:
    """Write it, and say whether someone will read it."""
    if not (folder := os.environ.get(FOLDER)):
        return False
    with suppress(OSError):  # the run is over, and its folder gone
        (Path(folder) / name).write_text(text, encoding="utf-8")
    return True


def is_set(name: str) -> bool:
    folder = os.environ.get(FOLDER)
    return bool(folder) and (Path(folder) / name).exists()


def run_is_over() -> bool:
    """Whether the run that started this process was interrupted, or has ended: a stage may start just then."""
    return is_set(INTERRUPTED) or not Path(os.environ.get(FOLDER, ".")).is_dir()
