"""Two clones made the same number, and their branches are merged: both stay, the one that is here takes the next number.

The one that is here, because it can be: the other's folder may be nowhere near, and whoever pushed first may have
been cited.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from wor import paths, storage
from wor.commands import git
from wor.errors import UserError
from wor.iterations import pointer, registry, verify
from wor.iterations.materialise import seal


def settle(experiments: Path) -> list[str]:
    """Give a new number to each iteration here whose number the registry has for another one too; a line for each.

    Pointers that git holds as unmerged are resolved: the other side's keeps the number.
    """
    said = []
    with registry.locked(experiments):
        rows = registry.read(experiments)
        for folder in registry.folders(experiments).values():
            mark = storage.read_json(folder / paths.MANIFEST)["fingerprint"]
            rivals = [row for row in rows if row["iteration_id"] == folder.name and row["fingerprint"] != mark[:16]]
            other = _others_pointer(folder) if rivals else None
            if other is None:  # a row alone may be anyone's edit
                continue
            if faults := verify.faults_of(folder):
                raise UserError(
                    folder.name, faults[0], "Its number was taken twice, and it is not what was recorded: restore it first"
                )
            new = _already(experiments, folder.name, mark) or _move(folder, registry.next_number(experiments))
            shutil.rmtree(folder)
            storage.write_text(pointer.path(folder), other)
            git("add", "--", str(pointer.path(folder)))
            said.append(f"{folder.name} was made twice: the one that is here is {new.name} now, the other one keeps the number")
            if registry.of_workspace() == folder.name:
                said.append(
                    f"{paths.ITERATION} has its old number, and DVC's cache too: dvc repro --force --single-item iteration"
                )
        registry.rebuild(experiments)
    return said


def unmerged() -> list[str]:
    """Files that git holds as unmerged."""
    return sorted({line.split("\t", 1)[1] for line in (git("ls-files", "--unmerged") or "").splitlines()})


def _already(experiments: Path, name: str, mark: str) -> Path | None:
    """The renumbered copy, when an earlier call was killed before it could remove the original."""
    for folder in registry.folders(experiments).values():
        manifest = storage.read_json(folder / paths.MANIFEST)
        if manifest["fingerprint"] == mark and manifest.get("renumbered_from") == name:
            return folder
    return None


def _others_pointer(folder: Path) -> str | None:
    """The text of the pointer to the iteration elsewhere: of a side of the merge, else as it is. None where there is none."""
    here = pointer.path(folder)
    sides = [git("show", f":{stage}:./{here.name}", where=here.parent) for stage in (2, 3)]
    texts = [side for side in sides if side is not None] or ([here.read_text(encoding="utf-8")] if here.is_file() else [])
    return next((text for text in texts if not pointer.describes(text, folder)), None)


def _move(folder: Path, number: int) -> Path:
    """A copy under the new number, sealed. What names the number follows: figures, the notes' title, the manifest."""
    target = folder.with_name(registry.name(number))
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        shutil.copytree(folder, building, dirs_exist_ok=True)
        for figure in (building / "figures").glob(f"*__{folder.name}.*"):
            figure.rename(figure.with_name(figure.name.replace(folder.name, target.name)))
        notes = building / paths.NOTES
        if notes.is_file():
            storage.write_text(notes, notes.read_text(encoding="utf-8").replace(f"# {folder.name}", f"# {target.name}", 1))
        manifest = storage.read_json(building / paths.MANIFEST)
        files = {name.replace(f"__{folder.name}.", f"__{target.name}."): digest for name, digest in manifest["files"].items()}
        changes = {"iteration_id": target.name, "renumbered_from": folder.name, "files": files}
        storage.write_json(building / paths.MANIFEST, manifest | changes)
        seal(building)
        building.rename(target)
        storage.fsync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target
