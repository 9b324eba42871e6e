"""How much fits: groups from a budget of bytes, halved when the machine has less than it promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from wor.errors import UserError

T = TypeVar("T")
GIB = 2**30
MOST = 8 * GIB  # groups larger than this holds are no faster
LEAST = 16 * 2**20


def budget(gib: float, device: str) -> tuple[int, str]:
    """Bytes that the engine may use beside the weights, and why: ``gib`` GiB, or (0) half of what is free."""
    if gib:
        return int(gib * GIB), f"compute.memory_gib is {gib:g}"
    if device == "cuda":
        free, where = torch.cuda.mem_get_info()[0], "GPU memory"
    else:
        free, where = psutil.virtual_memory().available, "memory"
    chosen = max(LEAST, min(free // 2, MOST))
    return chosen, f"auto: half of the {free / GIB:.1f} GiB of {where} that is free, at most {MOST // GIB}"


def is_exhausted(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type for it on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "out of memory" in str(error))


def in_groups(lm, what: str, n: int, size: int, work: Callable[[slice], T], most: int | None = None) -> list[T]:
    """``work`` over 0..n, in as few groups as fit at ``size`` bytes each and ``most`` together; what each group gave.

    ``lm.groups[what]`` remembers the largest group.

    A group for which memory runs out is begun again at half the size, and so are those after it:
    ``lm.memory`` halves. Below LEAST, or with one left in the group, that is a UserError.
    """
    found, first = [], 0
    while first < n:
        together = min(max(1, lm.memory // size), most or n)
        group = slice(first, min(first + together, n))
        try:
            found.append(work(group))
            lm.groups[what] = max(lm.groups.get(what, 0), group.stop - first)
            first = group.stop
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            if lm.memory // 2 < LEAST or group.stop - first == 1:
                remedy = "Close other programs, shorten the items or take a smaller model"
                raise UserError("memory", f"ran out in a group of {group.stop - first}", remedy) from error
        # Half of what was tried, where the budget had room for more than there was to do.
        lm.memory = max(LEAST, min(lm.memory // 2, (group.stop - first) // 2 * size))
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()
    return found
