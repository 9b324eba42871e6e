"""How much fits: groups from a budget of bytes, halved when the machine has less than it promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from wor.engine import cgroup
from wor.errors import UserError

T = TypeVar("T")
GIB = 2**30
MOST = 8 * GIB  # groups larger than this holds are no faster
LEAST = 16 * 2**20  # a budget below this would only be slow


def budget(gib: float, device: str) -> tuple[int, str]:
    """Bytes that the engine may use beside the weights, and why: ``gib`` GiB, or (0) half of what is free."""
    if gib:
        return int(gib * GIB), f"compute.memory_gib is {gib:g}"
    if device == "cuda":
        free, where = torch.cuda.mem_get_info()[0], "GPU memory"
    else:
        free, where = psutil.virtual_memory().available, "memory"
        limit = cgroup.memory_left()
        if limit is not None and limit < free:  # beyond it this process would be killed, not refused
            free, where = limit, "memory, within the control group's limit,"
    chosen = max(LEAST, min(free // 2, MOST))
    return chosen, f"auto: half of the {free / GIB:.1f} GiB of {where} that is free, at most {MOST // GIB}"


def is_exhausted(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type for it on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "out of memory" in str(error))


def in_groups(lm, what: str, n: int, size: int, work: Callable[[slice], T], most: int | None = None) -> list[T]:
    """``work`` over 0..n, in as few groups as fit at ``size`` bytes each and ``most`` together; what each group gave.

    ``lm.groups[what]`` remembers the largest group. A group for which memory runs out is begun again at half
    the size, and so are those after it; ``lm.memory`` follows, down to LEAST. When one alone does not fit,
    that is a UserError.
    """
    found, first = [], 0
    limit = most or n
    while first < n:
        group = slice(first, min(first + min(max(1, lm.memory // size), limit), n))
        count = group.stop - group.start
        try:
            found.append(work(group))
            lm.groups[what] = max(lm.groups.get(what, 0), count)
            first = group.stop
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            if count == 1:
                tried = f"{what}: one alone, of some {size / 2**20:.0f} MiB, does not fit"
                raise UserError("memory", tried, "Free memory, shorten the items or take a smaller model") from error
        limit = count // 2  # out of the handler, whose traceback holds on to what the group had made
        lm.memory = max(LEAST, min(lm.memory // 2, limit * size))
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()
    return found
