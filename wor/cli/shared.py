"""Arguments, options and output that several commands share."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wor import paths, storage
from wor.cli import complete
from wor.iterations import lookup
from wor.process import dead_locks

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Profile = Annotated[
    str,
    typer.Option(
        help="An overlay of profiles/: debug, nulls, full, smollm2, smollm3, offline-scale. params.yaml is not changed.",
        autocompletion=complete.profiles,
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", "-S", metavar="KEY=VALUE", help="As in dvc exp run.", autocompletion=complete.settings),
]
IterationName = Annotated[
    str,
    typer.Argument(help="An iteration's or experiment's name; the newest if left out.", autocompletion=complete.iterations),
]


def print_json(document: object) -> None:
    """Print one JSON document on stdout, with NaN and infinity as null."""
    typer.echo(json.dumps(storage.to_plain(document), indent=2, ensure_ascii=False, allow_nan=False))


def iteration_folder(iteration: str) -> Path:
    """Return the folder of a complete iteration; of the newest where the name is empty."""
    experiments = paths.experiments()
    return lookup.find_iteration(iteration, lookup.complete_iterations(experiments), experiments)


def return_to_branch() -> None:
    """Put HEAD back on the branch from which a killed run took it, and say so."""
    if branch := dead_locks.return_to_branch(paths.project()):
        typer.echo(f"Back on branch {branch}: a killed run had left it", err=True)
