"""Print a plan."""

from rich.console import Console

from wor.config.params import Params
from wor.pipeline.progress import format_duration
from wor.plan.plan import Plan
from wor.report.table import Table
from wor.report.terminal import open_console, print_line, print_table


def show_plan(params: Params, plan: Plan, console: Console | None = None) -> None:
    """Print one row per stage and the totals, then memory, disk, downloads and assumptions."""
    console = console or open_console()
    sizes = ", ".join(f"{name} {params.spec(name).n}" for name in params.datasets)
    rows = []
    for line in plan.lines:
        time = "DVC has it" if line.cached else "not known" if line.seconds is None else format_duration(line.seconds)
        counts = (f"{line.items:,}", f"{line.tokens:,}", f"{line.flops / 1e12:,.1f}") if line.items else ("", "", "")
        rows.append((line.stage, *counts, time))
    items, tokens, flops = (sum(getattr(line, name) for line in plan.lines) for name in ("items", "tokens", "flops"))
    rows.append(("in all", f"{items:,}", f"{tokens:,}", f"{flops / 1e12:,.1f}", format_duration(plan.seconds)))
    notes = [
        f"Memory: {plan.memory / 2**30:.1f} GiB at the peak. Disk: {plan.disk / 2**20:,.0f} MiB",
        *(f"Download: {model}, up to {size / 1e9:.1f} GB" for model, size in plan.download.items()),
        *(f"Measured: {line}" for line in plan.measured),
        *(f"Assumed: {line}" for line in plan.assumed),
        *(f"Mind: {line}" for line in plan.warnings),
        *plan.needed,
    ]
    print_line(console, f"{', '.join(params.models)} on {sizes}")
    print_table(Table("", ("stage", "items", "tokens", "TFLOP", "time"), rows, range(1, 5), notes), console)
