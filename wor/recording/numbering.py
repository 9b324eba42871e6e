"""Write the registry: under its lock, with the next number, from the folders."""

from pathlib import Path

from filelock import BaseFileLock, FileLock

from wor import storage
from wor.errors import UserError
from wor.iterations import registry
from wor.recording import pointer


def registry_lock(experiments: Path) -> BaseFileLock:
    """Return the one lock under which folders get their numbers and the registry is written."""
    if not experiments.is_dir():
        raise UserError(experiments, "not found", "Run from the top of the repository")
    return FileLock(experiments / ".lock")


def next_number(experiments: Path) -> int:
    """Return one more than any folder's, DVC pointer's or registry row's number: none is reused."""
    names = [entry.name.removesuffix(".dvc") for entry in experiments.glob("iteration_*")]
    names += [row["iteration_id"] for row in registry.read_rows(experiments)]
    return 1 + max(registry.iteration_number(name) or 0 for name in ["", *names])


def rebuild_registry(experiments: Path) -> list[dict[str, str]]:
    """Write the registry anew: one row per folder, and the rows of iterations that are not here.

    A person's ``comments`` are kept. The row of another iteration with a number that is taken here
    is kept while there is a pointer to it; `renumber` resolves that.
    """
    rows = {(row["iteration_id"], row["fingerprint"]): row for row in registry.read_rows(experiments)}
    for folder in registry.iteration_folders(experiments).values():
        manifest = registry.read_manifest(folder)
        fingerprint = manifest["registry"]["fingerprint"]
        before = rows.pop((manifest.get("renumbered_from", ""), fingerprint), {}) | rows.get((folder.name, fingerprint), {})
        others = [key for key in rows if key[0] == folder.name and key[1] != fingerprint]
        if others and not pointer.points_elsewhere(folder):  # someone edited the row
            before = {"comments": [rows.pop(key)["comments"] for key in others][-1]} | before
        rows[folder.name, fingerprint] = {**before, **registry.format_row(manifest["registry"]), "iteration_id": folder.name}
    ordered = sorted(rows.values(), key=lambda row: (len(row["iteration_id"]), row["iteration_id"]))  # 999 before 1000
    storage.write_text(registry.registry_path(experiments), registry.format_csv(ordered))
    return registry.read_rows(experiments)


def set_archived(experiments: Path, name: str, archived: bool) -> None:
    """Mark an iteration as archived in its comment, or remove the mark."""
    with registry_lock(experiments):
        rows = rebuild_registry(experiments)
        for row in rows:
            if row["iteration_id"] == name:
                first, _, rest = row["comments"].partition(": ")
                comment = rest if first == registry.ARCHIVED else row["comments"]
                row["comments"] = ": ".join(filter(None, [registry.ARCHIVED, comment])) if archived else comment
        storage.write_text(registry.registry_path(experiments), registry.format_csv(rows))
