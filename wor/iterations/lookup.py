"""Find an iteration by its name, or by the name of the DVC experiment that made it."""

import json
import re
from pathlib import Path

from wor import paths
from wor.errors import UserError
from wor.iterations import registry
from wor.process.commands import git

_NEW_NAME = re.compile(r"^[A-Za-z][\w.-]*$", re.ASCII)


def complete_iterations(experiments: Path) -> dict[str, Path]:
    """Return every published study, then every complete iteration, by name, oldest first.

    Raise UserError where none is.
    """
    folders = sorted(registry.iteration_folders(experiments).items())
    published = registry.published_folders(experiments)
    return require_any(published | {folder.name: folder for _, folder in folders}, experiments)


def require_any(folders: dict[str, Path], experiments: Path) -> dict[str, Path]:
    """Return ``folders``; raise UserError with the remedy where it is empty."""
    if folders:
        return folders
    if pointers := list(experiments.glob("iteration_*.dvc")):
        raise UserError(experiments, f"recorded iterations: {len(pointers)}, none of them here", "Bring them back: dvc pull")
    if not (experiments.parent / paths.PIPELINE).is_file():
        raise UserError(experiments.parent, "not a study: it has no dvc.yaml", "Run this from the study's folder")
    raise UserError(experiments, "no iteration yet", "Make one with: wor run")


def find_iteration(name: str, folders: dict[str, Path], experiments: Path) -> Path:
    """Return the folder of the iteration ``name``, an iteration's or a DVC experiment's name.

    "" stands for the newest that is not archived. Raise UserError where there is none.
    """
    if not name:
        archived = registry.archived_names(registry.read_rows(experiments))
        return folders[([key for key in folders if key not in archived] or [*folders])[-1]]
    if name not in folders:
        name = _made_by_experiment(name, experiments) or name
    if name in folders:
        return folders[name]
    pointer = paths.pointer(experiments / name)
    if pointer.is_file():
        raise UserError("iteration", f"{name} is recorded, and not here", f"Bring it back: dvc pull {pointer}")
    raise UserError("iteration", f"{name!r} is not in {experiments}", f"There are: {', '.join(folders)}")


def check_new_name(name: str, experiments: Path) -> None:
    """Raise UserError where ``name`` cannot name a new experiment."""
    if not _NEW_NAME.match(name) or name.endswith((".", ".lock")) or ".." in name:
        raise UserError("--name", repr(name), "Use letters, digits, '-', '_' and '.', a letter first")
    if registry.NAME.match(name) or _refs(name, experiments) or _made_by_experiment(name, experiments):
        raise UserError("--name", f"{name!r} is taken", "Choose another name; wor runs lists them")


def _refs(name: str, experiments: Path) -> list[str]:
    pattern = f"refs/exps/??/*/{name}"
    return (git("for-each-ref", "--sort=committerdate", "--format=%(refname)", pattern, where=experiments.parent) or "").split()


def _made_by_experiment(name: str, experiments: Path) -> str | None:
    """Return the newest iteration with the results of the experiment ``name``, or None.

    The registry has the one that made it. Later ones with the same results name it in their commit.
    """
    for row in reversed(registry.read_rows(experiments)):
        if row["experiment"] == name:
            return row["iteration_id"]
    for ref in reversed(_refs(name, experiments)):
        if text := git("show", f"{ref}:./{paths.ITERATION}", where=experiments.parent):
            return registry.iteration_name(json.loads(text)["iteration"])
    return None
