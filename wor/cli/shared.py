"""What several commands take or print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wor import paths, storage
from wor.cli import complete
from wor.errors import UserError
from wor.iterations import pointer, registry

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Profile = Annotated[
    str,
    typer.Option(
        help="An overlay of profiles/: debug, full, smollm2, offline-scale. params.yaml stays as it is.",
        autocompletion=complete.profiles,
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", "-S", metavar="KEY=VALUE", help="As of dvc exp run.", autocompletion=complete.settings),
]
Iteration = Annotated[
    str, typer.Argument(help="Such as iteration_001; the newest when left out.", autocompletion=complete.iterations)
]


def print_json(found: object) -> None:
    """One document on stdout, what is not a number as null."""
    typer.echo(json.dumps(storage.plain(found), indent=2, ensure_ascii=False, allow_nan=False))


def complete_iterations() -> dict[str, Path]:
    """Every complete iteration by name, oldest first."""
    return known({folder.name: folder for _, folder in sorted(registry.folders(paths.experiments()).items())})


def known(found: dict[str, Path]) -> dict[str, Path]:
    """``found``, or a UserError when it is empty."""
    if not found:
        away = list(paths.experiments().glob("iteration_*.dvc"))
        value = f"recorded iterations: {len(away)}, none of them here" if away else "no iteration yet"
        raise UserError(paths.experiments(), value, "Bring them back: dvc pull" if away else "Make one with: make run")
    return found


def folder(iteration: str, found: dict[str, Path]) -> Path:
    """The folder of the iteration of this name among ``found``; of the newest where the name is empty."""
    if iteration and iteration not in found:
        recorded = pointer.path(paths.experiments() / iteration)
        if recorded.is_file():
            raise UserError("iteration", f"{iteration} is recorded, and not here", f"Bring it back: dvc pull {recorded}")
        raise UserError("iteration", f"{iteration!r} is not in {paths.experiments()}", f"There are: {', '.join(found)}")
    return found[iteration] if iteration else list(found.values())[-1]
