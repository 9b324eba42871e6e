"""The `wor` command."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wor import commands, params, paths, preregistration, profiles, stage, terminal
from wor.errors import UserError
from wor.iterations import named, pointer, registry, renumber
from wor.iterations import record as recording
from wor.iterations import verify as verification
from wor.iterations.materialise import Outcome, find

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure reasoning effort inside small language models, as a DVC pipeline.",
)


@app.command()
def run(
    profile: Annotated[
        str, typer.Option(help="An overlay of profiles/: debug, full, smollm2, offline-scale. params.yaml stays as it is.")
    ] = "",
    set_: Annotated[list[str], typer.Option("--set", "-S", help="key=value, as of `dvc exp run`.")] = [],  # noqa: B006
) -> None:
    """Check the parameters, run the pipeline with `dvc exp run`, and say where the results are."""
    changes = profiles.changes(profile, set_)
    profiles.check(changes)
    if commands.git("rev-parse", "HEAD") is None:
        raise UserError("git", "no commit here", "An experiment starts from one: git init && git add -A && git commit -m Begin")
    # A profile runs in a copy of the workspace, else its settings would stay behind in params.yaml.
    where = ["--temp"] if profile else []
    command = commands.dvc("exp", "run", *where, *profiles.arguments(changes))
    with tempfile.TemporaryDirectory() as folder:
        refused, shown = Path(folder) / "refused", Path(folder) / "shown"
        reports = {stage.REFUSED: str(refused), stage.SHOWN: str(shown)}
        code = commands.show(command, env=commands.environment(**reports))
        if code:
            raise SystemExit(UserError.exit_code if refused.exists() else code)
        if not shown.exists() and not profile:  # nothing to do, or all of it from DVC's cache
            found = find(profiles.check({}))
            terminal.show_outcome(Outcome(found, new=False)) if found else results(registry.of_workspace() or "")
    tracked = recording.track(paths.experiments())
    _say_tracked(tracked)
    if tracked.names:
        typer.echo("To commit: wor record")


def _say_tracked(tracked: recording.Tracked) -> None:
    if tracked.names:
        typer.echo(f"Given to DVC: {', '.join(tracked.names)}")
    for name, why in tracked.refused.items():
        typer.echo(f"Not given to DVC: {name}: {why}", err=True)


@app.command()
def record(
    message: Annotated[str, typer.Option("--message", "-m", help="Of the commit.")] = "",
) -> None:
    """Give new iterations, and edited notes, to DVC, and commit their pointers, the registry and the run they came from."""
    done = recording.record(message)
    _say_tracked(done.tracked)
    if done.commit:
        typer.echo(f"Committed: {done.commit[:12]}. To send it: git push && dvc push")
    else:
        typer.echo(f"Not committed: {done.why}")
    if done.beside:
        typer.echo(f"Not in the commit, and the run used it: {', '.join(done.beside)}", err=True)
    if done.tracked.refused:
        raise SystemExit(1)


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
def plan(
    profile: Annotated[str, typer.Option(help="An overlay of profiles/.")] = "",
    set_: Annotated[list[str], typer.Option("--set", "-S", help="key=value, as of `wor run`.")] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a run would do: stages, items, tokens, FLOPs, time, memory, disk, downloads, and what DVC has already.

    Measures this machine for some 20 seconds first. Runs nothing but check and ids, converts a package's weights if need
    be, and downloads nothing.
    """
    changes = profiles.changes(profile, set_)
    checked = profiles.check(changes)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported; what isn't in its cache is planned as a download
    from wor.plan.plan import make  # with torch and dvc, which no other command waits for

    found = make(checked, changes)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "seconds": found.seconds}, indent=2, ensure_ascii=False))
    else:
        terminal.show_plan(checked, found)


@app.command()
def doctor(
    profile: Annotated[str, typer.Option(help="An overlay of profiles/ to hold the machine against.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say whether this machine and this checkout can run the study, and change nothing. Exit 1 when something fails."""
    from wor.doctor import examine  # with what it looks at, which no other command waits for

    found = examine(profile)
    fails = any(one.status == "fail" for group in found.values() for one in group)
    if as_json:
        lines = [{"group": group, **asdict(one)} for group, several in found.items() for one in several]
        typer.echo(json.dumps({"status": "fail" if fails else "ok", "checks": lines}, indent=2, ensure_ascii=False))
    else:
        terminal.show_findings(found)
    if fails:
        raise SystemExit(1)


@app.command()
def results(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001; the newest when left out.")] = "",
) -> None:
    """Print an iteration's table of results."""
    terminal.show_outcome(Outcome(_folder(iteration), new=False))


def _folder(iteration: str) -> Path:
    experiments = paths.experiments()
    return named.choose(iteration, named.complete(experiments), experiments)


class Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def report(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001; the newest when left out.")] = "",
    other: Annotated[str, typer.Argument(help="One to lay beside it.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Say where an iteration's report is, or write one of two iterations side by side."""
    from wor.iterations.load import Iteration
    from wor.report import page  # with altair, which no other command waits for

    folders = [_folder(name) for name in (iteration, other)[: 2 if other else 1]]
    if len(set(folders)) < len(folders):
        raise UserError("report", f"{iteration} beside itself", "Name two iterations, or one")
    path = folders[0] / paths.REPORT
    if other or output or not path.is_file():
        path = output or paths.REPORTS / f"{'-'.join(folder.name for folder in folders)}.html"
        page.write(path, *(Iteration(folder) for folder in folders))
    typer.echo(path)
    if show:
        typer.launch(str(path))


@app.command("registry")
def show_registry(
    best: Annotated[bool, typer.Option("--best", help="Only the iteration with the highest mean dAUC.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write the registry anew from the folders first.")] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
) -> None:
    """Print the registry: a row an iteration."""
    experiments = paths.experiments()
    if rebuild:
        for line in renumber.settle(experiments):
            typer.echo(line, err=True)
        if left := renumber.unmerged():
            typer.echo(f"Still unmerged, yours to decide; then wor record: {', '.join(left)}", err=True)
    rows = registry.read(experiments)
    if not rows:
        raise UserError(registry.path(experiments), "no iteration yet", "Make one with: make run")
    if best and not (rows := registry.best(rows)):
        raise UserError("--best", "no iteration has a dAUC", "Leave it out to see them all")
    if form is Form.csv:
        typer.echo(registry.as_csv(rows), nl=False)
        return
    values = [registry.as_values(row) for row in rows]
    if form is Form.json:
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        terminal.show_registry(values)


@app.command()
def runs() -> None:
    """Print every experiment that DVC knows on this branch: headline, iteration, the parameters that vary."""
    from wor.iterations.runs import runs as every  # with dvc, which no other command waits for

    terminal.show_runs(*every())


@app.command("compare")
def show_comparison(
    first: Annotated[str, typer.Argument(help="Such as iteration_001.")],
    others: Annotated[list[str], typer.Argument(help="One or more to hold against it.")],
) -> None:
    """Hold iterations against the first: parameters, metrics, the same items pair by pair, environment."""
    base, *rest = (_folder(name) for name in (first, *others))
    for other in rest:
        terminal.show_comparison(base, other)


@app.command()
def verify(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001; the newest when left out.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every iteration that is here, and the registry.")] = False,
) -> None:
    """Check that iterations are as they were recorded. Exit 1 names what was changed, added or is missing."""
    if every and iteration:
        raise UserError("verify", f"{iteration!r} and --all", "Give one of the two")
    experiments = paths.experiments()
    known = named.known(verification.folders(experiments), experiments)
    chosen = list(known.values()) if every else [named.choose(iteration, known, experiments)]
    found = []
    for folder in chosen:
        own = [f"{folder.name}/{fault}" for fault in verification.faults_of(folder)]
        found += own or pointer.faults(folder)  # of a damaged folder the pointer's would be the same faults again
    if every:
        found += verification.registry_faults(experiments)
    for fault in found:
        typer.echo(fault)
    if found:
        raise SystemExit(1)
    typer.echo(
        f"{', '.join(folder.name for folder in chosen)}: intact" if len(chosen) < 9 else f"{len(chosen)} iterations: intact"
    )


@app.command()
def reproduce(
    iteration: Annotated[str, typer.Argument(help="Such as iteration_001; the newest when left out.")] = "",
    start: Annotated[
        str, typer.Option("--from", metavar="STAGE", help="Compute from this stage on; pull what it reads. Cheaper.")
    ] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference |a - b| / max(1, |a|) that passes. 0 on the machine that made it, else 0.001.", min=0
        ),
    ] = None,
) -> None:
    """Compute an iteration anew, from its commit and with its packages, and hold every number against the recorded one.

    Exit 0: the same within the tolerance. Exit 1: not, and the first stage that differs is named.
    """
    from wor.iterations import agreement  # with scipy, which no other command waits for
    from wor.iterations.reproduce import reproduce

    folder = _folder(iteration)
    with reproduce(folder, start, say=typer.echo) as again:
        verdict = agreement.judge(folder, again, tolerance)
        terminal.show_reproduction(folder, again, verdict)
    raise SystemExit(0 if verdict.agrees else 1)


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


def main() -> None:
    with stage.one_line_errors():
        app()


if __name__ == "__main__":
    main()
