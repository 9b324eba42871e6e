"""Print the findings of `wor doctor`."""

from rich.console import Console
from rich.text import Text

from wor.doctor.finding import Finding
from wor.report.terminal import open_console, print_line

COLORS: dict[str, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_findings(groups: dict[str, list[Finding]], console: Console | None = None) -> None:
    """Print one line per finding, its remedy, and the counts. Never fold a line: it is copied."""
    console = console or open_console()
    for heading, findings in groups.items():
        print_line(console, heading, "bold")
        for finding in findings:
            line = Text.assemble("  ", (f"{finding.status:<4}", COLORS[finding.status]), f" {finding.name}: {finding.found}")
            console.print(line, soft_wrap=True)
            if finding.remedy:
                console.print(Text.assemble("       ", ("->", "bold"), f" {finding.remedy}"), soft_wrap=True)
    statuses: list[str] = [finding.status for findings in groups.values() for finding in findings]
    print_line(console, ", ".join(f"{statuses.count(status)} {status}" for status in COLORS), "bold")
