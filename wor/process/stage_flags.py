"""Pass messages from a stage to `wor run`, as DVC hands on nothing but one exit code.

Each flag is a file in a folder that `wor run` makes and names in an environment variable.
"""

import os
from contextlib import suppress
from pathlib import Path

FOLDER = "WOR_NOTICES"
REFUSED, SHOWN, KEPT, INTERRUPTED = "refused", "shown", "kept", "interrupted"


def set_flag(name: str, text: str = "") -> bool:
    """Write a flag, and return whether a `wor run` will read it."""
    if not (folder := os.environ.get(FOLDER)):
        return False
    with suppress(OSError):  # the run is over and its folder removed
        (Path(folder) / name).write_text(text, encoding="utf-8")
    return True


def is_set(name: str) -> bool:
    return bool(folder := os.environ.get(FOLDER, "")) and (Path(folder) / name).exists()


def run_is_over() -> bool:
    """Return whether the run was interrupted or has ended. A stage may start just then."""
    return is_set(INTERRUPTED) or not Path(os.environ.get(FOLDER, ".")).is_dir()
