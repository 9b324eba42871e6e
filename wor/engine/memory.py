"""How much fits: groups from a budget of bytes, halved when the machine has less than it promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from wor.errors import UserError

T = TypeVar("T")
MIN_BUDGET = 16 * 2**20  # a budget below this would only be slow


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type for it on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "out of memory" in str(error))


def run_in_batches(lm, what: str, n: int, size: int, work: Callable[[slice], T], most: int | None = None) -> list[T]:
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
            if not is_out_of_memory(error):
                raise
            if count == 1:
                tried = f"{what}: one alone, of some {size / 2**20:.0f} MiB, does not fit"
                raise UserError("memory", tried, "Free memory, shorten the items or take a smaller model") from error
        limit = count // 2  # out of the handler, whose traceback holds on to what the group had made
        lm.memory = max(MIN_BUDGET, min(lm.memory // 2, limit * size))
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()
    return found
