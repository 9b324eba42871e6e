"""What a stage tells `wor run`, past dvc, which has one exit code for all: a file each in a folder that is named here."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "WOR_REPORTS"
REFUSED, SHOWN, KEPT = "refused", "shown", "kept"


def give(name: str, text: str = "") -> bool:
    """Write it, and say whether someone will read it."""
    if not (folder := os.environ.get(FOLDER)):
        return False
    (Path(folder) / name).write_text(text, encoding="utf-8")
    return True


def given(name: str) -> bool:
    folder = os.environ.get(FOLDER)
    return bool(folder) and (Path(folder) / name).exists()
