"""Files as a test compares them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """sha256 of each file of a folder by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def strictly(text):
    """JSON as the standard has it: no NaN."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)
