"""The `wor` command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wor import params, paths, preregistration, profiles, stage, storage, terminal
from wor.errors import UserError
from wor.iterations import registry
from wor.iterations.materialise import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure reasoning effort inside small language models, as a DVC pipeline.",
)


@app.command()
def run(
    profile: Annotated[str, typer.Option(help="An overlay of profiles/: debug. params.yaml itself stays as it is.")] = "",
    set_: Annotated[list[str], typer.Option("--set", "-S", help="key=value, as of `dvc exp run`.")] = [],  # noqa: B006
) -> None:
    """Check the parameters, run the pipeline with `dvc exp run`, and say where the results are."""
    changes = {**(profiles.overlay(profile) if profile else {}), **profiles.settings(set_)}
    profiles.check(changes)
    dvc = shutil.which("dvc", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if dvc is None:
        raise UserError("dvc", "not found", "Install the requirements: pip install -r requirements.txt")
    # A profile runs in a copy of the workspace, else its settings would stay behind in params.yaml.
    where = ["--temp"] if profile else []
    with tempfile.TemporaryDirectory() as folder:
        refused, shown = Path(folder) / "refused", Path(folder) / "shown"
        reports = {stage.REFUSED: str(refused), stage.SHOWN: str(shown)}
        code = _call([dvc, "exp", "run", *where, *profiles.arguments(changes)], reports)
        if code:
            raise SystemExit(UserError.exit_code if refused.exists() else code)
        if not shown.exists() and not profile:  # nothing to do, or all of it from DVC's cache
            number = storage.read_json(paths.ITERATION)["iteration"]
            results(registry.name(number))


@app.command()
def check(
    set_: Annotated[list[str], typer.Option("--set", "-S", help="key=value to try.")] = [],  # noqa: B006
) -> None:
    """Check params.yaml, the frozen lists and prereg.yaml, and run nothing."""
    checked = profiles.check(profiles.settings(set_))
    typer.echo(f"{paths.PARAMS}: {', '.join(checked.models)} on {', '.join(checked.datasets)}: no fault found")
    departures = preregistration.departures(preregistration.load(), checked)
    standing = f"exploratory: {'; '.join(departures)}" if departures else "every registered parameter at its registered value"
    typer.echo(f"{paths.PREREGISTRATION}: {standing}")


@app.command()
def results(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001; the newest when left out.")] = "",
) -> None:
    """Print an iteration's table of results."""
    known = {folder.name: folder for _, folder in sorted(registry.folders(paths.experiments()).items())}
    if not known:
        raise UserError(paths.experiments(), "no iteration yet", "Make one with: make run")
    if iteration and iteration not in known:
        raise UserError("iteration", f"{iteration!r} is not in {paths.experiments()}", f"There are: {', '.join(known)}")
    terminal.show_outcome(Outcome(known[iteration] if iteration else list(known.values())[-1], new=False))


@app.command()
def freeze(
    dataset: Annotated[str, typer.Argument(help="A name under dataset_specs.")],
    n: Annotated[int, typer.Option(help="How many items.", min=1)],
) -> None:
    """Draw a frozen list for a dataset. Never overwrites one."""
    from wor.sources import frozen

    settings = params.load()
    if dataset not in settings.dataset_specs:
        raise UserError("dataset", repr(dataset), f"dataset_specs has {', '.join(settings.dataset_specs)}")
    typer.echo(f"{n} items frozen in {frozen.freeze(dataset, settings.spec(dataset), n, settings.seed)}")


def _call(command: list[str], extra: dict[str, str]) -> int:
    """Run with this interpreter first on the path, so that the stages' `python` is the one with the packages."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        return subprocess.call(command, env={**os.environ, **extra, "PATH": path})
    except KeyboardInterrupt:
        return 130


def main() -> None:
    with stage.one_line_errors():
        app()


if __name__ == "__main__":
    main()
