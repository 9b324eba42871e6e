"""Commands that show results and change none of them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wor import paths
from wor.cli import complete
from wor.cli.shared import AsJson, IterationName, iteration_folder, print_json
from wor.errors import UserError
from wor.iterations import registry as registry_file
from wor.iterations import results as statistics
from wor.recording import renumber
from wor.report import terminal


def results(
    iteration: IterationName = "",
    everything: Annotated[bool, typer.Option("--all", help="Print every table: nulls, hypotheses, rivals, criteria.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print an iteration's verdict and its table of results.

    Example: wor results iteration_002
    """
    folder = iteration_folder(iteration)
    if as_json:
        print_json(statistics.load_results(folder))
    else:
        terminal.show_outcome(folder, new=False, everything=everything)


def report(
    iteration: IterationName = "",
    other: Annotated[str, typer.Argument(help="Another one to compare it with.", autocompletion=complete.iterations)] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help="Write it anew, by this version, into plots/redrawn/.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Print the path of an iteration's report, or write a report that compares two.

    Example: wor report iteration_001 iteration_002
    """
    folders = [iteration_folder(name) for name in (iteration, other)[: 2 if other else 1]]
    if len(set(folders)) < len(folders):
        raise UserError("report", f"{iteration} compared with itself", "Name two iterations, or one")
    for folder in folders:
        statistics.load_results(folder)  # refuses an iteration of a version that had other statistics
    path = folders[0] / paths.REPORT
    if other or output or redraw or not path.is_file():
        from wor.iterations.load import Iteration
        from wor.iterations.redraw import redrawn_folder
        from wor.report import page  # altair and scipy, which the path of a report doesn't need

        iterations = [Iteration(folder) for folder in folders]
        default = paths.REPORTS / f"{'-'.join(folder.name for folder in folders)}.html"
        path = output or (redrawn_folder(iterations[0]) / paths.REPORT if redraw and not other else default)
        page.write_page(path, *iterations)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    typer.echo(path.relative_to(Path.cwd()) if inside else path)
    if show:
        typer.launch(str(path))


def figure(
    name: Annotated[str, typer.Argument(help="Such as scaling, or one of your own.", autocompletion=complete.figures)],
    iteration: IterationName = "",
) -> None:
    """Draw a figure of an iteration again, into plots/redrawn/, and print its path.

    Example: wor figure scaling iteration_001
    """
    from wor.iterations.load import Iteration
    from wor.iterations.redraw import redraw_figure

    typer.echo(redraw_figure(name, Iteration(iteration_folder(iteration))))


def compare(
    first: Annotated[str, typer.Argument(help="Such as iteration_001.", autocompletion=complete.iterations)],
    others: Annotated[list[str], typer.Argument(help="One or more to compare with it.", autocompletion=complete.iterations)],
    as_json: AsJson = False,
) -> None:
    """Compare iterations with the first: parameters, metrics, paired items, environment.

    Example: wor compare iteration_001 iteration_002
    """
    from wor.iterations.compare import compare_iterations  # scipy, which no other command needs

    base, *rest = (iteration_folder(name) for name in (first, *others))
    comparisons = [compare_iterations(base, other) for other in rest]
    if as_json:
        print_json(comparisons)
        return
    for comparison in comparisons:
        terminal.show_comparison(comparison)
        for line in comparison["unpaired"]:
            typer.echo(line)


class Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def registry(
    best: Annotated[bool, typer.Option("--best", help="Only the iteration with the highest mean dAUC.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Archived iterations too.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write the registry anew from the folders first.")] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the registry, one row per iteration.

    Example: wor registry --best
    """
    if as_json and form is Form.csv:
        raise UserError("registry", "--json and --format csv", "Give one of the two")
    experiments = paths.experiments()
    if rebuild:
        for line in renumber.resolve_number_conflicts(experiments):
            typer.echo(line, err=True)
        if unmerged := renumber.unmerged_files():
            typer.echo(f"Still unmerged, yours to decide; then wor record: {', '.join(unmerged)}", err=True)
    rows = [*registry_file.published_rows(experiments), *registry_file.read_rows(experiments)]
    if not rows:
        raise UserError(registry_file.registry_path(experiments), "no iteration yet", "Make one with: wor run")
    if not everything:
        archived = registry_file.archived_names(rows)
        rows = [row for row in rows if row["iteration_id"] not in archived]
    if best and not (rows := registry_file.select_best(rows)):
        raise UserError("--best", "no iteration has a dAUC", "Leave it out to see them all")
    if form is Form.csv:
        typer.echo(registry_file.format_csv(rows), nl=False)
        return
    values = [registry_file.parse_row(row) for row in rows]
    if as_json or form is Form.json:
        print_json(values)
    else:
        terminal.show_registry(values)


def measures(
    name: Annotated[str, typer.Argument(help="One of them, for everything that is known of it.")] = "",
    as_json: AsJson = False,
) -> None:
    """List every measure of the trial: formula, range, direction claimed, source.

    Example: wor measures dtr
    """
    from wor.measures.registry import describe_measures

    rows = describe_measures()
    if name:
        names = [row["name"] for row in rows]
        if name not in names:
            raise UserError("measures", name, f"There are {', '.join(names)}")
        rows = [row for row in rows if row["name"] == name]
    if as_json:
        print_json(rows)
    else:
        terminal.show_measures(rows, whole=bool(name))


def runs(as_json: AsJson = False) -> None:
    """Print every DVC experiment of this branch: headline, iteration, and the parameters that vary.

    Example: wor runs
    """
    from wor.iterations.runs import list_runs

    rows, varying, remark = list_runs()
    if as_json:
        print_json(rows)
    else:
        terminal.show_runs(rows, varying)
    if remark:
        typer.echo(remark, err=as_json)
