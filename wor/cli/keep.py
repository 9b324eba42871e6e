"""Commands that record iterations, archive them, and check them against what was recorded."""

from pathlib import Path
from typing import Annotated

import typer

from wor import paths
from wor.cli import complete
from wor.cli.shared import AsJson, IterationName, iteration_folder, print_json, return_to_branch
from wor.errors import UserError
from wor.iterations import lookup
from wor.iterations import verify as verification
from wor.iterations.registry import published_folders
from wor.process import commands, interrupt
from wor.recording import numbering, pointer
from wor.recording import push as sending
from wor.recording import record as recording
from wor.report import terminal


def record(
    message: Annotated[str, typer.Option("--message", "-m", help="The commit's message.")] = "",
) -> None:
    """Add new iterations and edited notes to DVC, and commit them with the registry and the run.

    Exit 1 when an iteration is refused.

    Example: wor record -m "Temperature 0.7"
    """
    interrupt.set_message("the iterations are unchanged; what is not yet recorded is recorded by the same command")
    return_to_branch()
    recorded = recording.record_iterations(message)
    show_tracked(recorded.tracked)
    if recorded.commit:
        typer.echo(f"Committed: {recorded.commit[:12]}, with {', '.join(recorded.files)}. To send it: git push && wor push")
    else:
        typer.echo(f"Not committed: {recorded.why}")
    if recorded.left_out:
        typer.echo(f"Not in the commit: {', '.join(recorded.left_out)}: params.yaml is not what made them", err=True)
    if recorded.beside:
        typer.echo(f"Not in the commit, and the run used it: {', '.join(recorded.beside)}", err=True)
    if recorded.commit and commands.git("symbolic-ref", "--quiet", "HEAD") is None:
        typer.echo("The commit is on no branch. To keep it: git switch -c NAME", err=True)
    if recorded.tracked.refused:
        raise SystemExit(1)


def show_tracked(tracked: recording.Tracked) -> None:
    """Print which iterations DVC tracks now, and which it was not given and why."""
    if tracked.names:
        typer.echo(f"Given to DVC: {', '.join(tracked.names)}")
    for name, why in tracked.refused.items():
        typer.echo(f"Not given to DVC: {name}: {why}", err=True)


def publish(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001.", autocompletion=complete.iterations)],
    name: Annotated[str, typer.Argument(help="What the published study is called.")],
) -> None:
    """Copy an iteration to experiments/published/NAME, for git, without texts of the datasets.

    Example: wor publish iteration_001 pilot
    """
    from wor.recording.publish import publish as publish_iteration  # altair, for the report

    folder = publish_iteration(iteration_folder(iteration), name)
    typer.echo(f"Published: {folder.relative_to(Path.cwd())}. To share it: git add {folder.relative_to(Path.cwd())}")


def push() -> None:
    """Send recorded iterations and all that they were computed from to DVC's remote.

    It is dvc push, and more: that sends the intermediate outputs of the last run alone.

    Example: wor push
    """
    interrupt.set_message("what was sent stays there. To go on")
    sent, incomplete = sending.push_iterations()
    typer.echo(f"Sent for earlier iterations: {sent} files")
    for line in incomplete:
        typer.echo(line, err=True)


def archive(
    iteration: IterationName,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back into the lists.")] = False,
) -> None:
    """Take an iteration out of the lists. Its folder stays, and its name still works.

    Example: wor archive iteration_003
    """
    name = iteration_folder(iteration).name
    numbering.set_archived(paths.experiments(), name, not undo)
    typer.echo(f"{name} is {'back in' if undo else 'out of'} the lists. To commit that: wor record")


def verify(
    iteration: IterationName = "",
    every: Annotated[bool, typer.Option("--all", help="Every iteration that is here, and the registry.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check iterations against what was recorded.

    Exit 1 names what was changed, added or is missing.

    Example: wor verify --all
    """
    if every and iteration:
        raise UserError("verify", f"{iteration!r} and --all", "Give one of the two")
    experiments = paths.experiments()
    published = published_folders(experiments)
    folders = lookup.require_any(published | verification.folders_by_name(experiments), experiments)
    checked = list(folders.values()) if every else [lookup.find_iteration(iteration, folders, experiments)]
    faults: list[str] = []
    for folder in checked:
        differing = [f"{folder.name}/{fault}" for fault in verification.folder_faults(folder)]
        faults += differing or pointer.pointer_faults(folder)  # a damaged folder's pointer has the same faults again
    if every:
        faults += verification.registry_faults(experiments)
    result = {"iterations": [folder.name for folder in checked], "intact": not faults, "faults": faults}
    if as_json:
        print_json(result)
    else:
        terminal.show_verification(result)
    if faults:
        raise SystemExit(1)
