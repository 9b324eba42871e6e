"""Show a stage's progress, as a bar on a terminal and as lines elsewhere, and keep its log."""

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
STATE_WIDTH = 40  # columns of the numbers and a short bar; on a narrower terminal the stage's name goes too

Show = Callable[[float, str], None]  # of the cost done and the state's text


class Log:
    """What a stage prints while it runs, and what it records about itself in the iteration."""

    def __init__(self, stage: str):
        self.stage, self.console = stage, Console(stderr=True, highlight=False)
        self.lines: list[str] = []
        self.began, self.clock = datetime.now(UTC), time.perf_counter()

    def info(self, text: str) -> None:
        self.lines.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.stage}: {text}")
        self.console.print(f"[bold]{self.stage}[/bold]: {text}", soft_wrap=True)

    def record(self) -> dict:
        """Return times, peak memory and lines, for the iteration's timing.json and run.log."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "stage": self.stage,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.clock, 3),
            "peak_memory_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
            "lines": self.lines,
        }

    @contextmanager
    def bar(self, task: str, costs: Sequence[float]) -> Iterator[Callable[..., None]]:
        """Yield a function to call with the number of items done since its last call.

        ``costs`` are those of the items, in the order in which they are done. See `CostProgress`.
        """
        progress, began = CostProgress(costs), time.perf_counter()
        is_terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        with (self._live_bar if is_terminal else self._plain_lines)(task, progress.total) as show:

            def advance(step: float = 1) -> None:
                progress.done += step
                show(progress.weight, progress.state(time.perf_counter() - began))

            yield advance
        seconds = time.perf_counter() - began
        if progress.costs:
            self.info(f"{task}: {progress.done:.0f} in {seconds:.1f} s ({format_rate(progress.done, seconds)})")

    @contextmanager
    def _live_bar(self, task: str, total: float) -> Iterator[Show]:
        name = f"{self.stage}: {task}"
        is_wide = self.console.width >= len(name) + STATE_WIDTH
        columns = [TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[state]}")]
        if not is_wide:
            del columns[1]
        with Progress(*columns, console=self.console, transient=True, expand=True) as bar:
            line = bar.add_task(name if is_wide else task, total=total, state="")
            yield lambda weight, state: bar.update(line, completed=weight, state=state)

    @contextmanager
    def _plain_lines(self, task: str, total: float) -> Iterator[Show]:
        last = time.perf_counter()

        def show(weight: float, state: str) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= LINE_EVERY and 0 < weight < total:
                last = now
                print(f"{self.stage}: {task} {state}", file=sys.stderr, flush=True)

        yield show


class CostProgress:
    """Progress over items of unequal cost. ``done`` items are finished, possibly with a fraction.

    The time left is weighted by cost, because long items come last. `state` shows items.
    """

    def __init__(self, costs: Sequence[float]):
        self.costs, self.cumulative, self.done = costs, list(accumulate(costs, initial=0.0)), 0.0

    @property
    def total(self) -> float:
        return self.cumulative[-1]

    @property
    def weight(self) -> float:
        """The cost of the finished items."""
        whole = min(int(self.done), len(self.costs))
        fraction = self.costs[whole] * (self.done - whole) if whole < len(self.costs) else 0.0
        return self.cumulative[whole] + fraction

    def state(self, elapsed: float) -> str:
        """Return a text such as ``12/41, 7.4 s each, 3 min left``."""
        parts = [f"{self.done:.0f}/{len(self.costs)}"]
        if self.done >= 1:
            parts.append(format_rate(self.done, elapsed))
        if (seconds := seconds_left(elapsed, self.weight, self.total)) is not None:
            parts.append(f"{format_duration(seconds)} left")
        return ", ".join(parts)


def seconds_left(elapsed: float, done: float, total: float) -> float | None:
    """Return the seconds left at the speed so far, or None before anything is done."""
    return elapsed * max(total - done, 0.0) / done if done > 0 else None


def format_rate(done: float, elapsed: float) -> str:
    """Return ``2.3/s`` or ``7.4 s each``, whichever number is above 1."""
    if done <= 0 or elapsed <= 0:
        return "none yet"
    return f"{done / elapsed:.1f}/s" if done >= elapsed else f"{elapsed / done:.1f} s each"


def format_duration(seconds: float) -> str:
    """Return ``45 s``, ``12 min``, ``3.4 h`` or ``2.1 days``."""
    for lower, size, unit, form in ((172_800, 86_400, "days", ".1f"), (7_200, 3_600, "h", ".1f"), (120, 60, "min", ".0f")):
        if seconds >= lower:
            return f"{seconds / size:{form}} {unit}"
    return f"{seconds:.0f} s"
