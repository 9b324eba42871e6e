"""Read files for comparison."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def strictly(text):
    """Parse JSON and reject NaN and Infinity, which the standard does not have."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
