"""The write side of the registry: its lock, the next number, and the file made anew from the folders."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wor import storage
from wor.errors import UserError
from wor.iterations import registry
from wor.recording import pointer


@contextmanager
def registry_lock(experiments: Path) -> Iterator[None]:
    """Hold the one lock under which folders get their numbers and the registry is written."""
    if not experiments.is_dir():
        raise UserError(experiments, "not found", "Run from the top of the repository")
    with open(experiments / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def next_number(experiments: Path) -> int:
    """One above every number that a folder, a DVC pointer or a registry row has taken.

    A clone without the folders must not use their numbers again.
    """
    names = [entry.name.removesuffix(".dvc") for entry in experiments.glob("iteration_*")]
    names += [row["iteration_id"] for row in registry.read_rows(experiments)]
    return 1 + max((int(match[1]) for match in map(registry.NAME.match, names) if match), default=0)


def rebuild_registry(experiments: Path) -> list[dict[str, str]]:
    """Write the registry anew: a row from each folder, and the rows of iterations that are not here.

    ``comments`` is a person's column and is kept. So is a row of another iteration with a number that is taken
    here, when there is a pointer to it: `renumber` settles that.
    """
    rows = {(row["iteration_id"], row["fingerprint"]): row for row in registry.read_rows(experiments)}
    for folder in registry.iteration_folders(experiments).values():
        sealed = registry.read_manifest(folder)
        mark = sealed["registry"]["fingerprint"]
        kept = rows.pop((sealed.get("renumbered_from"), mark), {}) | rows.get((folder.name, mark), {})
        others = [key for key in rows if key[0] == folder.name and key[1] != mark]
        if others and not pointer.is_of_another(folder):  # someone edited the row
            kept = {"comments": [rows.pop(key)["comments"] for key in others][-1]} | kept
        rows[folder.name, mark] = {**kept, **registry.as_text(sealed["registry"]), "iteration_id": folder.name}
    ordered = sorted(rows.values(), key=lambda row: (len(row["iteration_id"]), row["iteration_id"]))  # 999 before 1000
    storage.write_text(registry.registry_path(experiments), registry.as_csv(ordered))
    return registry.read_rows(experiments)
