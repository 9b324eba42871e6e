"""Two clones made the same number, and their branches are merged: both stay, the one that is here takes the next number.

The one that is here, because it can be: the other's folder may be nowhere near, and whoever pushed first may have
been cited.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.process.commands import git
from wor.recording import pointer
from wor.recording.create import seal, write_report_and_manifest
from wor.recording.numbering import next_number, rebuild_registry, registry_lock

_POINTER = re.compile(r"(^|/)experiments/iteration_\d+\.dvc$")


def resolve_number_conflicts(experiments: Path) -> list[str]:
    """Give a new number to each iteration here whose number the registry has for another one too; a line for each.

    Pointers that git holds as unmerged are resolved: the other side's keeps the number. Killed at any moment, the
    next call ends the same.
    """
    said = []
    with registry_lock(experiments):
        rows = registry.read_rows(experiments)
        for folder in registry.iteration_folders(experiments).values():
            if not registry.rows_with_same_number(folder, rows) or (other := _others_pointer(folder)) is None:
                continue
            new = _renumbered_copy(experiments, folder) or _move(folder, next_number(experiments))
            storage.write_text(paths.pointer(folder), other)
            git("add", "--", str(paths.pointer(folder)))
            # Away at once, so that no half of it is ever met; what is left under this name the next run clears.
            leaving = Path(tempfile.mkdtemp(prefix=".building-", dir=experiments))
            folder.rename(leaving / folder.name)
            shutil.rmtree(leaving)
            said.append(f"{folder.name} was made twice: the one that is here is {new.name} now, the other one keeps the number")
            if registry.workspace_iteration() == folder.name:
                said.append(
                    f"{paths.ITERATION} has the old number, also in DVC's cache: dvc repro --force --single-item iteration"
                )
        rebuild_registry(experiments)
    return said


def unmerged() -> list[str]:
    """Files that git holds as unmerged."""
    entries = (git("ls-files", "--unmerged", "-z") or "").split("\0")
    return sorted({entry.split("\t", 1)[1] for entry in entries if entry})


def unmerged_pointers() -> list[str]:
    return [path for path in unmerged() if _POINTER.search(path)]


def _renumbered_copy(experiments: Path, folder: Path) -> Path | None:
    """The renumbered copy, when an earlier call was killed before it could remove the original."""
    mark = registry.read_manifest(folder)["fingerprint"]
    for other in registry.iteration_folders(experiments).values():
        manifest = registry.read_manifest(other)
        if manifest["fingerprint"] == mark and manifest.get("renumbered_from") == folder.name:
            return other
    return None


def _others_pointer(folder: Path) -> str | None:
    """The text of the pointer to the iteration elsewhere; None where the pointer is this folder's own, or there is none.

    In a merge, the side that isn't this folder's. Raises UserError where nobody can say whose it is.
    """
    here = paths.pointer(folder)
    sides = [git("show", f":{stage}:./{here.name}", where=here.parent) for stage in (2, 3)]
    if None in sides:
        # No merge is under way. Of the other's files DVC's cache here knows nothing, of this folder's it does.
        text = here.read_text(encoding="utf-8") if here.is_file() else None
        return None if text is None or pointer.describes_folder(text, folder) else text
    own = [pointer.describes_folder(side, folder) for side in sides]
    if own != [False, False]:
        return sides[own.index(False)] if False in own else None
    remedy = f"Take back its {paths.NOTES} as they were recorded, or bring back DVC's cache, then again"
    raise UserError(here.name, "whose it is can't be told: DVC's cache has no list of its files", remedy)


def _move(folder: Path, number: int) -> Path:
    """A copy under the new number, sealed. What names the number follows: figures, the notes' title, the report, the manifest."""
    if faults := verify.folder_faults(folder):
        raise UserError(folder.name, faults[0], "Its number was taken twice, and it is not what was recorded: restore it first")
    target = folder.with_name(registry.iteration_name(number))
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        shutil.copytree(folder, building, dirs_exist_ok=True)
        for figure in (building / "figures").glob(f"*__{folder.name}.*"):
            figure.rename(figure.with_name(figure.name.replace(folder.name, target.name)))
        notes = building / paths.NOTES
        if notes.is_file():
            storage.write_text(notes, notes.read_text(encoding="utf-8").replace(f"# {folder.name}", f"# {target.name}", 1))
        manifest = registry.read_manifest(building)
        files = {name.replace(f"__{folder.name}.", f"__{target.name}."): digest for name, digest in manifest["files"].items()}
        changed = manifest | {"iteration_id": target.name, "renumbered_from": folder.name, "files": files}
        if paths.REPORT in files:
            write_report_and_manifest(building, changed)
        else:  # of an earlier version
            storage.write_json(building / paths.MANIFEST, changed)
        seal(building)
        building.rename(target)
        storage.fsync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target
