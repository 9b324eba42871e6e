"""One progress bar a stage on a terminal, plain lines elsewhere; and the stage's own log."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_EVERY = 15.0  # seconds between plain lines
STATE = 40  # columns of the numbers and a short bar; where there is no room for them, neither is there for the stage's name


class Log:
    """What a stage says while it runs, and what it will say about itself in the iteration."""

    def __init__(self, stage: str):
        self.stage, self.console, self.lines = stage, Console(stderr=True, highlight=False), []
        self.began, self.clock = datetime.now(UTC), time.perf_counter()

    def info(self, text: str) -> None:
        self.lines.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.stage}: {text}")
        self.console.print(f"[bold]{self.stage}[/bold]: {text}", soft_wrap=True)

    def record(self) -> dict:
        """Times, peak memory and lines, for the iteration's timing.json and run.log."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "stage": self.stage,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.clock, 3),
            "peak_memory_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
            "lines": self.lines,
        }

    @contextmanager
    def bar(self, what: str, costs: Sequence[float]) -> Iterator[Callable[..., None]]:
        """Give a function to call with how many items were done since the last call (1 by default).

        costs : of each item, in the order in which they are done, in any unit; see `Course`.
        """
        course, began = CostProgress(costs), time.perf_counter()
        name = f"{self.stage}: {what}"
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            roomy = self.console.width >= len(name) + STATE
            bar = [BarColumn(bar_width=None)] if roomy else []
            columns = (TextColumn("[bold]{task.description}"), *bar, TextColumn("{task.fields[state]}"))
            with Progress(*columns, console=self.console, transient=True, expand=True) as progress:
                task = progress.add_task(name if roomy else what, total=course.total, state="")

                def advance(step: float = 1) -> None:
                    course.done += step
                    state = course.state(time.perf_counter() - began)
                    progress.update(task, completed=course.weight, state=state)

                yield advance
        else:
            last = began

            def advance(step: float = 1) -> None:
                nonlocal last
                course.done += step
                now = time.perf_counter()
                if now - last >= LINE_EVERY and 0 < course.weight < course.total:
                    last = now
                    print(f"{name} {course.state(now - began)}", file=sys.stderr, flush=True)

            yield advance
        took = time.perf_counter() - began
        if course.costs:
            self.info(f"{what}: {course.done:.0f} in {took:.1f} s ({format_rate(course.done, took)})")


class CostProgress:
    """Items of unlike cost, done one after the other; ``done`` of them so far, or a part of one.

    What is left is counted in cost, since the long items come last; ``state`` shows items.
    """

    def __init__(self, costs: Sequence[float]):
        self.costs, self.before, self.done = costs, list(accumulate(costs, initial=0.0)), 0.0

    @property
    def total(self) -> float:
        return self.before[-1]

    @property
    def weight(self) -> float:
        """What the done items cost."""
        whole = min(int(self.done), len(self.costs))
        part = self.costs[whole] * (self.done - whole) if whole < len(self.costs) else 0.0
        return self.before[whole] + part

    def state(self, elapsed: float) -> str:
        """``12/41, 7.4 s each, 3 min left``."""
        parts = [f"{self.done:.0f}/{len(self.costs)}"]
        if self.done >= 1:
            parts.append(format_rate(self.done, elapsed))
        if (seconds := seconds_left(elapsed, self.weight, self.total)) is not None:
            parts.append(f"{format_duration(seconds)} left")
        return ", ".join(parts)


def seconds_left(elapsed: float, done: float, total: float) -> float | None:
    """Seconds for the rest, if it goes as fast as what is done; None before there is any."""
    return elapsed * max(total - done, 0.0) / done if done > 0 else None


def format_rate(done: float, elapsed: float) -> str:
    """``2.3/s`` or ``7.4 s each``, whichever is above 1."""
    if done <= 0 or elapsed <= 0:
        return "none yet"
    return f"{done / elapsed:.1f}/s" if done >= elapsed else f"{elapsed / done:.1f} s each"


def format_duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``, ``2.1 days``: no more digits than an estimate has."""
    for least, size, unit, form in ((172_800, 86_400, "days", ".1f"), (7_200, 3_600, "h", ".1f"), (120, 60, "min", ".0f")):
        if seconds >= least:
            return f"{seconds / size:{form}} {unit}"
    return f"{seconds:.0f} s"
