"""Commands that keep what a run made, and say whether it still is what was kept."""

from __future__ import annotations

from typing import Annotated

import typer

from wor import paths
from wor.cli.shared import AsJson, IterationName, print_json
from wor.errors import UserError
from wor.iterations import named
from wor.iterations import verify as verification
from wor.process import interrupt
from wor.recording import pointer
from wor.recording import record as recording
from wor.report import terminal


def record(
    message: Annotated[str, typer.Option("--message", "-m", help="Of the commit.")] = "",
) -> None:
    """Give new iterations, and edited notes, to DVC, and commit their pointers, the registry and the run they came from.

    Exit 1 when an iteration is refused.

    Example: wor record -m "Temperature 0.7"
    """
    interrupt.set_message("the iterations are as they were; what is not yet recorded is when it is asked for again")
    done = recording.record_iterations(message)
    say_tracked(done.tracked)
    if done.commit:
        typer.echo(f"Committed: {done.commit[:12]}. To send it: git push && dvc push")
    else:
        typer.echo(f"Not committed: {done.why}")
    if done.beside:
        typer.echo(f"Not in the commit, and the run used it: {', '.join(done.beside)}", err=True)
    if done.tracked.refused:
        raise SystemExit(1)


def say_tracked(tracked: recording.Tracked) -> None:
    """Which iterations are DVC's now, and which are not, and why."""
    if tracked.names:
        typer.echo(f"Given to DVC: {', '.join(tracked.names)}")
    for name, why in tracked.refused.items():
        typer.echo(f"Not given to DVC: {name}: {why}", err=True)


def verify(
    iteration: IterationName = "",
    every: Annotated[bool, typer.Option("--all", help="Every iteration that is here, and the registry.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that iterations are as they were recorded.

    Exit 1 names what was changed, added or is missing.

    Example: wor verify --all
    """
    if every and iteration:
        raise UserError("verify", f"{iteration!r} and --all", "Give one of the two")
    experiments = paths.experiments()
    here = named.require_any(verification.folders_by_name(experiments), experiments)
    chosen = list(here.values()) if every else [named.find_iteration(iteration, here, experiments)]
    faults = []
    for one in chosen:
        own = [f"{one.name}/{fault}" for fault in verification.folder_faults(one)]
        faults += own or pointer.pointer_faults(one)  # of a damaged folder the pointer's would be the same faults again
    if every:
        faults += verification.registry_faults(experiments)
    found = {"iterations": [one.name for one in chosen], "intact": not faults, "faults": faults}
    if as_json:
        print_json(found)
    else:
        terminal.show_verification(found)
    if faults:
        raise SystemExit(1)
