"""experiments/iteration_NNN.dvc: the hash under which DVC keeps an iteration's folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from wor import paths
from wor.process import commands


def read_pointer(folder: Path) -> dict | None:
    """What the pointer says of ``folder``: path, md5, size, nfiles. None where it is no pointer to one folder."""
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
    """md5 of each file by its path in the folder."""
    found = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file())
    return {name: _md5(file) for name, file in found}


def folder_md5(files: dict[str, str]) -> str:
    """DVC's hash of a folder: md5 of its sorted listing as JSON."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return f"{hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()}.dir"


def pointer_faults(folder: Path) -> list[str]:
    """Where an iteration's pointer is not one to this folder as it was recorded; its notes may have been edited since."""
    here, said = paths.pointer(folder), read_pointer(folder)
    if not here.is_file():
        return []
    if said is None:
        return [f"{here.name}: not a DVC pointer to a folder"]
    if said["path"] != folder.name:
        return [f"{here.name}: points to {said['path']}"]
    names = _changed_files(said["md5"], folder)
    if names is None:  # DVC's cache is gone and the notes were edited: all that can be held against it is a count
        present = len(list_md5(folder))
        return [] if said.get("nfiles") == present else [f"{here.name}: is of {said.get('nfiles')} files, here are {present}"]
    return [f"{here.name}: {name} differs from what it points to" for name in names]


def describes_folder(text: str, folder: Path) -> bool:
    """Whether a pointer's text is known to be of this folder as it was recorded, notes aside."""
    said = parse_pointer(text)
    return said is not None and _changed_files(said["md5"], folder) == []


def is_of_another(folder: Path) -> bool:
    """Whether the pointer with this folder's name is there, and of another iteration."""
    said = read_pointer(folder)
    return said is not None and _changed_files(said["md5"], folder) != []


def _changed_files(md5: str, folder: Path) -> list[str] | None:
    """Files, but the notes, that are not what the hash stands for. None where nobody knows what it stands for."""
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
    """Whether the pointer is of the folder as it is now, notes included."""
    said = read_pointer(folder)
    return said is not None and said["path"] == folder.name and said["md5"] == folder_md5(list_md5(folder))


def cached_listing(md5: str) -> dict[str, str] | None:
    """The listing behind a folder's hash, if DVC's cache has it."""
    try:
        entries = json.loads(
            (commands.dvc_cache(paths.project()) / "files" / "md5" / md5[:2] / md5[2:]).read_text(encoding="utf-8")
        )
        return {entry["relpath"]: entry["md5"] for entry in entries}
    except (OSError, ValueError, commands.CommandFailed):
        return None


def _md5(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
