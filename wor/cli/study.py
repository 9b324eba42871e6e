"""Commands that compute: a run, an iteration again, and one prompt."""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wor import paths
from wor.cli import complete
from wor.cli.keep import show_tracked
from wor.cli.shared import AsJson, IterationName, Profile, Settings, iteration_folder, print_json, return_to_branch
from wor.config import overrides
from wor.errors import UserError
from wor.iterations import lookup, registry
from wor.pipeline import validation
from wor.process import commands, interrupt, stage_flags
from wor.process.dead_locks import clear_dead_locks
from wor.recording import record as recording
from wor.recording.create import find_current
from wor.report import terminal


def run(
    profile: Profile = "",
    set_: Settings = [],  # noqa: B006
    name: Annotated[str, typer.Option("--name", "-n", help="Name the experiment, and so the iteration that it makes.")] = "",
) -> None:
    """Check the parameters, run the pipeline with dvc exp run, and print where the results are.

    Ctrl-C keeps what is finished; the same command goes on. Exit 2 when parameters, data
    or machine are refused.

    Example: wor run -S temperature=0.7 --name warm
    """
    if name:
        lookup.check_new_name(name, paths.experiments())
    changes = overrides.collect_overrides(profile, set_)
    validation.check_run(changes)
    commands.head_commit()
    # A profile runs in a copy of the workspace, else its settings would stay behind in params.yaml.
    options = [*(["--temp"] if profile else []), *(["--name", name] if name else [])]
    if profile and (unknown := recording.untracked_code()):
        remedy = f"git add {' '.join(unknown)}"
        typer.echo(f"Not in the copy in which a profile runs: {', '.join(unknown)}. To add them: {remedy}", err=True)
    if edited := validation.uncommitted_parameters():
        typer.echo(f"params.yaml differs from the commit in {', '.join(edited)}", err=True)
    clear_dead_locks(paths.project())
    return_to_branch()
    command = commands.quiet_dvc_command("exp", "run", *options, *overrides.dvc_arguments(changes))
    with tempfile.TemporaryDirectory() as temporary:
        flags = Path(temporary)
        code = commands.run_interactive(
            command, env={**commands.child_environment(), stage_flags.FOLDER: temporary}, listens=True
        )
        progress = flags / stage_flags.KEPT
        if code == commands.INTERRUPTED or progress.exists():
            part = f", and {progress.read_text(encoding='utf-8')}" if progress.exists() else ""
            interrupt.set_message(f"kept finished stages{part}. The same command resumes")
            raise SystemExit(commands.INTERRUPTED)
        if code:
            raise SystemExit(UserError.exit_code if (flags / stage_flags.REFUSED).exists() else code)
        shown = (flags / stage_flags.SHOWN).exists()
    if not shown and not profile:  # nothing to do, or all of it from DVC's cache
        folder = find_current(validation.check_run({})) or iteration_folder(registry.workspace_iteration() or "")
        terminal.show_outcome(folder, new=False)
    interrupt.set_message("the run is finished. To commit its iteration: wor record. This command was")
    tracked = recording.track_iterations(paths.experiments())
    show_tracked(tracked)
    if not profile and registry.published_folders(paths.experiments()):
        from wor.recording.agreement import agreement_with_published  # scipy

        # metrics/iteration.json has the number that it was made with. A merge may have changed it.
        current = find_current(validation.check_run({}))
        if current and (line := agreement_with_published(current, paths.experiments())):
            typer.echo(line)
    if tracked.names:
        typer.echo("To commit: wor record")


def reproduce(
    iteration: IterationName = "",
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Compute from this stage on, and pull what it reads.",
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
    """Compute an iteration again with its code and packages, and compare every number.

    Exit 0: the same within the tolerance. Exit 1: not the same, and the first stage that
    differs is named.

    Example: wor reproduce iteration_002 --from stats
    """
    from wor.recording import agreement  # scipy, which no other command needs
    from wor.recording.reproduce import recompute

    recorded = iteration_folder(iteration)
    output = sys.stderr if as_json else None
    with recompute(recorded, start, partial(typer.echo, err=as_json), output) as recomputation:
        verdict = agreement.judge_agreement(recorded, recomputation, tolerance)
        description = agreement.describe_agreement(recorded, recomputation, verdict)
        if as_json:
            print_json(description)
        else:
            terminal.show_reproduction(description)
    raise SystemExit(0 if verdict.agrees else 1)


def probe(
    text: Annotated[str, typer.Argument(help="The prompt.", show_default=False)],
    against: Annotated[str | None, typer.Option("--against", metavar="TEXT", help="A second prompt to compare it with.")] = None,
    model: Annotated[
        str, typer.Option(help="A name of model_specs; the study's first if left out.", autocompletion=complete.models)
    ] = "",
    set_: Settings = [],  # noqa: B006
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write it as a page, with layers.")] = None,
    as_json: AsJson = False,
) -> None:
    """Generate from one prompt, and show every measure of it beside the calibration controls.

    The same prompt gives the same result. Without a run in this folder there
    are no controls, and the values stand alone.

    Example: wor probe "Tom has 3 apples and buys 4. How many now?"
    """
    if html and (not html.parent.is_dir() or html.is_dir()):
        fault = "is a folder" if html.is_dir() else "its folder does not exist"
        raise UserError("--html", f"{html}: {fault}", "Name a file in a folder that exists")
    interrupt.set_message("nothing was written. To start again")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read at import: beside other programs, spinning threads take minutes
    from wor.pipeline.probe import probe as run_probe  # torch, which no other command here needs

    result = run_probe(text, against, model, overrides.parse_settings(set_))
    if html:
        from wor.report import page  # altair, which the terminal doesn't need

        page.write_probe_page(html, result)
    if as_json:
        print_json(result.as_dict())
        return
    terminal.show_probe(result)
    if html:
        typer.echo(f"Page: {html}")
