"""What several commands take or print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wor import paths, storage
from wor.cli import complete
from wor.iterations import named

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
IterationName = Annotated[
    str, typer.Argument(help="Such as iteration_001; the newest when left out.", autocompletion=complete.iterations)
]


def print_json(found: object) -> None:
    """One document on stdout, what is not a number as null."""
    typer.echo(json.dumps(storage.to_plain(found), indent=2, ensure_ascii=False, allow_nan=False))


def iteration_folder(iteration: str) -> Path:
    """The folder of the complete iteration of this name; of the newest where the name is empty."""
    experiments = paths.experiments()
    return named.find_iteration(iteration, named.complete_iterations(experiments), experiments)
