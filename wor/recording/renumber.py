"""Give an iteration a new number when another clone has made an iteration with the same number.

Both stay. The one here takes the next number, as the other may be cited or not be here.
"""

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
    """Renumber each iteration here whose number another one has too; return a line for each.

    An unmerged pointer keeps the other side's. After a kill, the next call completes the work.
    """
    lines = []
    with registry_lock(experiments):
        rows = registry.read_rows(experiments)
        for folder in registry.iteration_folders(experiments).values():
            if not registry.rows_with_same_number(folder, rows) or (other := _others_pointer(folder)) is None:
                continue
            renumbered = _renumbered_copy(experiments, folder) or _copy_as(folder, next_number(experiments))
            storage.write_text(paths.pointer(folder), other)
            git("add", "--", str(paths.pointer(folder)))
            # A rename hides the whole folder at once. The next run removes what a kill leaves.
            trash = Path(tempfile.mkdtemp(prefix=".building-", dir=experiments))
            folder.rename(trash / folder.name)
            shutil.rmtree(trash)
            lines.append(
                f"{folder.name} was made twice: the one that is here is {renumbered.name} now, the other one keeps the number"
            )
            if registry.workspace_iteration() == folder.name:
                remedy = "dvc repro --force --single-item iteration"
                lines.append(f"{paths.ITERATION} has the old number, also in DVC's cache: {remedy}")
        rebuild_registry(experiments)
    return lines


def unmerged_files() -> list[str]:
    """Return the files that git holds as unmerged."""
    entries = (git("ls-files", "--unmerged", "-z") or "").split("\0")
    return sorted({entry.split("\t", 1)[1] for entry in entries if entry})


def unmerged_pointers() -> list[str]:
    return [path for path in unmerged_files() if _POINTER.search(path)]


def _renumbered_copy(experiments: Path, folder: Path) -> Path | None:
    """Return the renumbered copy that a killed call made before it could remove the original."""
    fingerprint = registry.read_manifest(folder)["fingerprint"]
    for other in registry.iteration_folders(experiments).values():
        manifest = registry.read_manifest(other)
        if manifest["fingerprint"] == fingerprint and manifest.get("renumbered_from") == folder.name:
            return other
    return None


def _others_pointer(folder: Path) -> str | None:
    """Return the text of the other clone's pointer; None where there is no such pointer.

    In a merge it's the side that isn't this folder's. UserError where DVC's cache can't tell.
    """
    path = paths.pointer(folder)
    sides = [text for stage in (2, 3) if (text := git("show", f":{stage}:./{path.name}", where=path.parent)) is not None]
    if len(sides) < 2:
        # No merge is in progress. DVC's cache here knows this folder's files, and not the other's.
        text = path.read_text(encoding="utf-8") if path.is_file() else None
        return None if text is None or pointer.describes_folder(text, folder) else text
    is_own = [pointer.describes_folder(text, folder) for text in sides]
    if any(is_own):
        return sides[is_own.index(False)] if False in is_own else None
    remedy = f"Restore its {paths.NOTES} as they were recorded, or DVC's cache, then try again"
    raise UserError(path.name, "DVC's cache has no list of its files, so its iteration is unknown", remedy)


def _copy_as(folder: Path, number: int) -> Path:
    """Write a sealed copy, renumbered in figures, notes, report and manifest; return its folder."""
    if faults := verify.folder_faults(folder):
        raise UserError(
            folder.name, faults[0], "Its number was taken twice and it has changed since it was recorded. Restore it first"
        )
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
        else:  # an earlier version made it
            storage.write_json(building / paths.MANIFEST, changed)
        seal(building)
        building.rename(target)
        storage.fsync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target
