"""The commands of `wor`, in the order of its help. Each group has a module."""

import os
from typing import Annotated

import typer

from wor.cli import keep, look, new, prepare, study
from wor.process.exit import DEBUG

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 failed, or a bug in wor; 2 refused, with the remedy; 130 after Ctrl-C.",
)

PANELS = {
    "Try it": (study.probe,),
    "Check and prepare": (prepare.doctor, prepare.check, prepare.plan, prepare.freeze),
    "Run a study": (study.run, study.reproduce),
    "Look at results": (look.results, look.report, look.figure, look.compare, look.registry, look.runs, look.measures),
    "Keep and share": (keep.record, keep.push, keep.publish, keep.verify, keep.archive),
    "Extend": (new.new,),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


@app.callback()
def settings(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from, in stages too (or set WOR_DEBUG=1).")
    ] = False,
) -> None:
    """Measure reasoning effort inside small language models, as a DVC pipeline.

    Start with wor doctor, then wor plan, then wor run.
    """
    if debug:
        os.environ[DEBUG] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
