"""One progress bar a stage on a terminal, plain lines elsewhere; and the stage's own log."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 15.0  # seconds between plain lines


class Log:
    """What a stage says while it runs, and what it will say about itself in the iteration."""

    def __init__(self, stage: str):
        self.stage, self.console, self.lines = stage, Console(stderr=True, highlight=False), []
        self.began, self.clock = datetime.now(UTC), time.perf_counter()

    def say(self, text: str) -> None:
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
    def bar(self, what: str, total: int) -> Iterator[Callable[..., None]]:
        """Give a function to call with how much was done since the last call (1 by default)."""
        began = time.perf_counter()
        done = 0.0
        if self.console.is_terminal:
            columns = (
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(f"{self.stage}: {what}", total=total, rate="")

                def advance(step: float = 1) -> None:
                    nonlocal done
                    done += step
                    progress.update(task, advance=step, rate=f"{done / (time.perf_counter() - began):.2f}/s")

                yield advance
        else:
            last = began

            def advance(step: float = 1) -> None:
                nonlocal done, last
                done += step
                now = time.perf_counter()
                if now - last >= LINE_EVERY and 0 < done < total:
                    last = now
                    left = (now - began) / done * (total - done)
                    print(f"{self.stage}: {what} {done:.0f}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)

            yield advance
        took = time.perf_counter() - began
        self.say(f"{what}: {done:.0f} in {took:.1f} s ({done / took:.2f}/s)")
