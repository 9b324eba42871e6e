"""Commands that compute: a run, and an iteration once more."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wor import paths
from wor.cli import complete
from wor.cli.keep import say_tracked
from wor.cli.shared import AsJson, IterationName, Profile, Settings, iteration_folder, print_json
from wor.config import overrides
from wor.errors import UserError
from wor.iterations import registry
from wor.pipeline import validation
from wor.process import commands, interrupt, stage_flags
from wor.recording import record as recording
from wor.recording.create import find_current
from wor.report import terminal


def run(profile: Profile = "", set_: Settings = []) -> None:  # noqa: B006
    """Check the parameters, run the pipeline with dvc exp run, and say where the results are.

    Ctrl-C keeps what is finished; the same command goes on. Exit 2 when parameters, data or machine are refused.

    Example: wor run -S temperature=0.7
    """
    changes = overrides.collect_overrides(profile, set_)
    validation.check_run(changes)
    if commands.git("rev-parse", "HEAD") is None:
        raise UserError("git", "no commit here", "An experiment starts from one: git init && git add -A && git commit -m Begin")
    # A profile runs in a copy of the workspace, else its settings would stay behind in params.yaml.
    where = ["--temp"] if profile else []
    command = commands.quiet_dvc_command("exp", "run", *where, *overrides.dvc_arguments(changes))
    with tempfile.TemporaryDirectory() as name:
        told = Path(name)
        code = commands.run_interactive(command, env=commands.child_environment(**{stage_flags.FOLDER: name}), listens=True)
        kept = told / stage_flags.KEPT
        if code == commands.INTERRUPTED or kept.exists():
            part = f", and {kept.read_text(encoding='utf-8')}" if kept.exists() else ""
            interrupt.set_message(f"kept are finished stages{part}; the same command goes on from there")
            raise SystemExit(commands.INTERRUPTED)
        if code:
            raise SystemExit(UserError.exit_code if (told / stage_flags.REFUSED).exists() else code)
        shown = (told / stage_flags.SHOWN).exists()
    if not shown and not profile:  # nothing to do, or all of it from DVC's cache
        found = find_current(validation.check_run({})) or _of_workspace()
        terminal.show_outcome(found, new=False)
    interrupt.set_message("the run is finished and its iteration is there; to commit it: wor record. This was")
    tracked = recording.track_iterations(paths.experiments())
    say_tracked(tracked)
    if tracked.names:
        typer.echo("To commit: wor record")


def _of_workspace() -> Path:
    return iteration_folder(registry.workspace_iteration() or "")


def reproduce(
    iteration: IterationName = "",
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Compute from this stage on; pull what it reads. Cheaper.",
            autocompletion=complete.stages,
        ),
    ] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference |a - b| / max(1, |a|) that passes. 0 on the machine that made it, else 0.001.", min=0
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute an iteration anew, from its commit and with its packages, and hold every number against the recorded one.

    Exit 0: the same within the tolerance. Exit 1: not, and the first stage that differs is named.

    Example: wor reproduce iteration_002 --from stats
    """
    from wor.recording import agreement  # with scipy, which no other command waits for
    from wor.recording.reproduce import recompute as again_from

    recorded = iteration_folder(iteration)
    output = sys.stderr if as_json else None
    with again_from(recorded, start, partial(typer.echo, err=as_json), output) as again:
        verdict = agreement.judge_agreement(recorded, again, tolerance)
        found = agreement.describe_agreement(recorded, again, verdict)
        if as_json:
            print_json(found)
        else:
            terminal.show_reproduction(found)
    raise SystemExit(0 if verdict.agrees else 1)
