"""experiments/iteration_NNN.dvc: the hash under which DVC stores an iteration's folder."""

import hashlib
import json
from pathlib import Path

import yaml

from wor import paths, storage
from wor.process import commands


def read_pointer(folder: Path) -> dict | None:
    """Return path, md5, size and nfiles from a folder's pointer; None where it is not one."""
    try:
        return parse_pointer(paths.pointer(folder).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def parse_pointer(text: str) -> dict | None:
    try:
        (out,) = yaml.safe_load(text)["outs"]
        return out if out["md5"].endswith(".dir") and isinstance(out["path"], str) else None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return None


def list_md5(folder: Path) -> dict[str, str]:
    """Return the md5 of each file by its path in the folder."""
    return {name: _md5(file) for name, file in storage.files_by_name(folder).items()}


def folder_md5(files: dict[str, str]) -> str:
    """Return DVC's hash of a folder: the md5 of its sorted listing as JSON."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return f"{hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()}.dir"


def pointer_faults(folder: Path) -> list[str]:
    """List mismatches between the .dvc pointer and the folder. Edits to notes.md are ignored."""
    path, target = paths.pointer(folder), read_pointer(folder)
    if not path.is_file():
        return []
    if target is None:
        return [f"{path.name}: not a DVC pointer to a folder"]
    if target["path"] != folder.name:
        return [f"{path.name}: points to {target['path']}"]
    names = _changed_files(target["md5"], folder)
    if names is None:  # without DVC's cache and with edited notes, only the number of files can be checked
        count = len(list_md5(folder))
        return [] if target.get("nfiles") == count else [f"{path.name}: is of {target.get('nfiles')} files, here are {count}"]
    return [f"{path.name}: {name} differs from what it points to" for name in names]


def describes_folder(text: str, folder: Path) -> bool:
    """Whether a pointer's text is known to point to this folder as it was recorded, notes aside."""
    target = parse_pointer(text)
    return target is not None and _changed_files(target["md5"], folder) == []


def points_elsewhere(folder: Path) -> bool:
    """Whether there is a pointer with this folder's name, and it points to another iteration."""
    target = read_pointer(folder)
    return target is not None and _changed_files(target["md5"], folder) != []


def _changed_files(md5: str, folder: Path) -> list[str] | None:
    """Return the files, except the notes, that differ from the hash's; None if unknown."""
    files = list_md5(folder)
    if md5 == folder_md5(files):
        return []
    recorded = cached_listing(md5)
    if recorded is None:
        return None
    return sorted(
        name for name in files.keys() | recorded.keys() if name != paths.NOTES and files.get(name) != recorded.get(name)
    )


def is_current(folder: Path) -> bool:
    """Whether the pointer points to the folder as it is now, notes included."""
    target = read_pointer(folder)
    return target is not None and target["path"] == folder.name and target["md5"] == folder_md5(list_md5(folder))


def cached_object(md5: str) -> Path:
    """Return where DVC's cache keeps a file, or the listing of a folder, with that hash."""
    return commands.dvc_cache(paths.project()) / "files" / "md5" / md5[:2] / md5[2:]


def cached_listing(md5: str) -> dict[str, str] | None:
    """Return the md5 of each file behind a folder's hash; None where DVC's cache lacks it."""
    try:
        entries = json.loads(cached_object(md5).read_text(encoding="utf-8"))
        return {entry["relpath"]: entry["md5"] for entry in entries}
    except (OSError, ValueError, commands.CommandFailed):
        return None


def _md5(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
