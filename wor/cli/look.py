"""Commands that show what is there, and change nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wor import paths
from wor.cli import complete
from wor.cli.shared import AsJson, IterationName, iteration_folder, print_json
from wor.errors import UserError
from wor.iterations import registry as rows_of
from wor.iterations import results as statistics
from wor.recording import renumber
from wor.report import terminal


def results(iteration: IterationName = "", as_json: AsJson = False) -> None:
    """Print an iteration's table of results.

    Example: wor results iteration_002
    """
    found = iteration_folder(iteration)
    if as_json:
        print_json(statistics.load_results(found))
    else:
        terminal.show_outcome(found, new=False)


def report(
    iteration: IterationName = "",
    other: Annotated[str, typer.Argument(help="One to lay beside it.", autocompletion=complete.iterations)] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Say where an iteration's report is, or write one of two iterations side by side.

    Example: wor report iteration_001 iteration_002
    """
    folders = [iteration_folder(name) for name in (iteration, other)[: 2 if other else 1]]
    if len(set(folders)) < len(folders):
        raise UserError("report", f"{iteration} beside itself", "Name two iterations, or one")
    for each in folders:
        statistics.load_results(each)  # refuses what a version made that had other statistics
    path = folders[0] / paths.REPORT
    if other or output or not path.is_file():
        from wor.iterations.load import Iteration
        from wor.report import page  # with altair and scipy, which nobody waits for who asks where a report is

        path = output or paths.REPORTS / f"{'-'.join(each.name for each in folders)}.html"
        page.write_page(path, *(Iteration(each) for each in folders))
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    typer.echo(path.relative_to(Path.cwd()) if inside else path)
    if show:
        typer.launch(str(path))


def compare(
    first: Annotated[str, typer.Argument(help="Such as iteration_001.", autocompletion=complete.iterations)],
    others: Annotated[list[str], typer.Argument(help="One or more to hold against it.", autocompletion=complete.iterations)],
    as_json: AsJson = False,
) -> None:
    """Hold iterations against the first: parameters, metrics, the same items pair by pair, environment.

    Example: wor compare iteration_001 iteration_002
    """
    from wor.iterations.compare import compare_iterations  # with scipy, which no other command waits for

    base, *rest = (iteration_folder(name) for name in (first, *others))
    found = [compare_iterations(base, other) for other in rest]
    if as_json:
        print_json(found)
        return
    for each in found:
        terminal.show_comparison(each)


class Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def registry(
    best: Annotated[bool, typer.Option("--best", help="Only the iteration with the highest mean dAUC.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write the registry anew from the folders first.")] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the registry: a row an iteration.

    Example: wor registry --best
    """
    if as_json and form is Form.csv:
        raise UserError("registry", "--json and --format csv", "Give one of the two")
    experiments = paths.experiments()
    if rebuild:
        for line in renumber.resolve_number_conflicts(experiments):
            typer.echo(line, err=True)
        if left := renumber.unmerged():
            typer.echo(f"Still unmerged, yours to decide; then wor record: {', '.join(left)}", err=True)
    rows = rows_of.read_rows(experiments)
    if not rows:
        raise UserError(rows_of.registry_path(experiments), "no iteration yet", "Make one with: make run")
    if best and not (rows := rows_of.best_rows(rows)):
        raise UserError("--best", "no iteration has a dAUC", "Leave it out to see them all")
    if form is Form.csv:
        typer.echo(rows_of.as_csv(rows), nl=False)
        return
    values = [rows_of.as_values(row) for row in rows]
    if as_json or form is Form.json:
        print_json(values)
    else:
        terminal.show_registry(values)


def runs(as_json: AsJson = False) -> None:
    """Print every experiment that DVC knows on this branch: headline, iteration, the parameters that vary.

    Example: wor runs
    """
    from wor.iterations.runs import list_runs as every  # with dvc, which no other command waits for

    rows, varying = every()
    if as_json:
        print_json(rows)
    else:
        terminal.show_runs(rows, varying)
