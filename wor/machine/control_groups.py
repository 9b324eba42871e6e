"""Read the limits of containers and job schedulers: Linux control groups, version 1 and 2."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT = 2**60  # version 1 writes a number near 2**63 for no limit


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Return the groups' smallest quota in cores, or None. joblib reads the root group's only."""
    quotas = []
    for folder in _group_folders("cpu", root, membership):
        version_1 = [*_read_fields(folder / "cpu.cfs_quota_us"), *_read_fields(folder / "cpu.cfs_period_us")]
        fields = _read_fields(folder / "cpu.max") or version_1
        if len(fields) == 2 and fields[0].isdigit():  # without a limit: max, or -1
            quotas.append(int(fields[0]) / int(fields[1]))
    return min(quotas, default=None)


def memory_left(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Return the bytes until the nearest limit, or None. Droppable cached files count as free."""
    left = []
    for folder in _group_folders("memory", root, membership):
        for limit_file, usage_file in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limit, used = _read_fields(folder / limit_file), _read_fields(folder / usage_file)
            if limit and used and limit[0].isdigit() and int(limit[0]) < _NO_LIMIT:
                fields = _read_fields(folder / "memory.stat")
                stat = dict(zip(fields[::2], fields[1::2], strict=False))
                droppable = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
                left.append(int(limit[0]) - int(used[0]) + int(droppable))
    return min(left, default=None)


def _group_folders(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and all groups around it.

    In a container the path is often the host's, and only the root folder exists.
    """
    for line in membership.read_text().splitlines() if membership.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / path.lstrip("/")
        yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(top)))


def _read_fields(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
