"""Check an iteration's files against its manifest, and the registry against the folders."""

import json
from collections import Counter
from pathlib import Path

from wor import paths, storage
from wor.iterations import registry

EDITABLE = ("comments",)  # the registry's columns that a person writes


def folders_by_name(experiments: Path) -> dict[str, Path]:
    """Return every folder with an iteration's name, oldest first, also without a manifest."""
    entries = sorted(experiments.glob("iteration_*"), key=lambda path: (len(path.name), path.name))  # 999 before 1000
    return {path.name: path for path in entries if path.is_dir()}


def folder_faults(folder: Path) -> list[str]:
    """Return one line per difference from the manifest, except for edits of notes.md."""
    try:
        manifest = storage.read_json(folder / paths.MANIFEST)
        sealed, row, identifier = manifest["files"], manifest["registry"], manifest["iteration_id"]
    except FileNotFoundError:
        return [f"{paths.MANIFEST}: missing"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return [f"{paths.MANIFEST}: not a manifest"]
    faults = []
    if identifier != folder.name:
        faults.append(f"{paths.MANIFEST}: is that of {identifier}")
    if row.get("fingerprint") != manifest.get("fingerprint", "")[:16]:
        faults.append(f"{paths.MANIFEST}: its fingerprint is not its registry row's")
    files = storage.files_by_name(folder)
    for name, digest in sealed.items():
        if name not in files:
            faults.append(f"{name}: missing")
        elif storage.sha256(files[name]) != digest:
            faults.append(f"{name}: changed")
    return faults + [f"{name}: added" for name in files if name not in {*sealed, paths.NOTES, paths.MANIFEST}]


def registry_faults(experiments: Path) -> list[str]:
    """Return one line per difference between the registry and the folders' manifests."""
    listed = registry.read_rows(experiments)
    rows = {row["iteration_id"]: row for row in listed}
    counts = Counter(row["iteration_id"] for row in listed)
    faults = [f"registry: {name} has {count} rows" for name, count in counts.items() if count > 1]
    folders = folders_by_name(experiments)
    for name, folder in folders.items():
        if name not in rows:
            faults.append(f"registry: {name} has no row")
            continue
        try:
            expected = registry.format_row(storage.read_json(folder / paths.MANIFEST)["registry"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # folder_faults names it
        for column, value in expected.items():
            if column not in EDITABLE and rows[name].get(column, "") != value:
                faults.append(f"registry: {name} has {column} {rows[name].get(column, '')!r}, its manifest {value!r}")
    for name in rows:
        if name not in folders and not paths.pointer(experiments / name).is_file():
            faults.append(f"registry: {name} has a row, and neither a folder nor a .dvc file here")
    return faults
