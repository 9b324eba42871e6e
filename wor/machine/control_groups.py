"""What a container or a job scheduler lets this process have: Linux control groups, version 1 and 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_NONE = 2**60  # version 1 says no limit as a number near 2**63


def available_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Cores' worth of time, the least along the way to the root; None without a limit."""
    found = []
    for folder in _folders("cpu", root, own):
        said = _read_words(folder / "cpu.max") or [
            *_read_words(folder / "cpu.cfs_quota_us"),
            *_read_words(folder / "cpu.cfs_period_us"),
        ]
        if len(said) == 2 and said[0].isdigit():  # else: max, or -1
            found.append(int(said[0]) / int(said[1]))
    return min(found, default=None)


def memory_left(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes until the nearest limit, files that the kernel may drop not counted as used; None without a limit."""
    found = []
    for folder in _folders("memory", root, own):
        for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, used = _read_words(folder / limit), _read_words(folder / usage)
            if most and used and most[0].isdigit() and int(most[0]) < _NONE:
                stat = _read_words(folder / "memory.stat")
                counts = dict(zip(stat[::2], stat[1::2], strict=False))
                droppable = counts.get("total_inactive_file", counts.get("inactive_file", "0"))
                found.append(int(most[0]) - int(used[0]) + int(droppable))
    return min(found, default=None)


def _folders(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """Those of this process's group and of every group around it. In a container the path is often the host's, and only
    the top is there."""
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / path.lstrip("/")
        yield from (folder, *(above for above in folder.parents if above.is_relative_to(top)))


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
