"""Is an iteration still what was recorded? Every file against its manifest, the registry against the folders."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from wor import paths, storage
from wor.iterations import registry

YOURS = ("comments",)  # registry columns that are a person's


def folders_by_name(experiments: Path) -> dict[str, Path]:
    """Everything that has an iteration's name, by name, oldest first: also what has lost its manifest."""
    found = sorted(experiments.glob("iteration_*"), key=lambda path: (len(path.name), path.name))  # 999 before 1000
    return {path.name: path for path in found if path.is_dir()}


def folder_faults(folder: Path) -> list[str]:
    """What differs from the manifest, a line a file; none for an intact iteration. Notes may be edited."""
    try:
        manifest = storage.read_json(folder / paths.MANIFEST)
        sealed, row, identifier = manifest["files"], manifest["registry"], manifest["iteration_id"]
    except FileNotFoundError:
        return [f"{paths.MANIFEST}: missing"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return [f"{paths.MANIFEST}: not a manifest"]
    found = []
    if identifier != folder.name:
        found.append(f"{paths.MANIFEST}: is that of {identifier}")
    if row.get("fingerprint") != manifest.get("fingerprint", "")[:16]:
        found.append(f"{paths.MANIFEST}: its fingerprint is not its registry row's")
    present = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, digest in sealed.items():
        if name not in present:
            found.append(f"{name}: missing")
        elif storage.sha256(present[name]) != digest:
            found.append(f"{name}: changed")
    found += [f"{name}: added" for name in present if name not in sealed and name not in (paths.NOTES, paths.MANIFEST)]
    return found


def registry_faults(experiments: Path) -> list[str]:
    """Where the registry is not what the folders' manifests give, by iteration and column."""
    listed = registry.read_rows(experiments)
    rows = {row["iteration_id"]: row for row in listed}
    counts = Counter(row["iteration_id"] for row in listed)
    found = [f"registry: {name} has {count} rows" for name, count in counts.items() if count > 1]
    here = folders_by_name(experiments)
    for name, folder in here.items():
        if name not in rows:
            found.append(f"registry: {name} has no row")
            continue
        try:
            expected = registry.as_text(storage.read_json(folder / paths.MANIFEST)["registry"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a fault of the folder, and named there
        for column, value in expected.items():
            if column not in YOURS and rows[name].get(column, "") != value:
                found.append(f"registry: {name} has {column} {rows[name].get(column, '')!r}, its manifest {value!r}")
    for name in rows:
        if name not in here and not (experiments / f"{name}.dvc").is_file():
            found.append(f"registry: {name} has a row, and neither a folder nor a .dvc file here")
    return found
