"""Run work in batches that fit a budget of bytes, and halve them when memory runs out."""

from collections.abc import Callable
from typing import TypeVar

import torch

from wor.errors import UserError

Result = TypeVar("Result")
MIN_BUDGET = 16 * 2**20  # a smaller budget would only be slow


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out. On a CPU, torch has no type for it."""
    has_type = isinstance(error, torch.OutOfMemoryError | MemoryError)
    text = str(error) if isinstance(error, RuntimeError) else ""
    return has_type or "DefaultCPUAllocator" in text or "out of memory" in text


def run_in_batches(
    lm, task: str, n: int, size: int, work: Callable[[slice], Result], max_batch_size: int | None = None
) -> list[Result]:
    """Call ``work`` on consecutive slices of range(n) that fit ``lm.memory``. Return its results.

    One item takes ``size`` bytes. A batch that runs out of memory is begun again at half its size,
    which later batches keep, and ``lm.memory`` falls to at least MIN_BUDGET. A single item that
    does not fit raises UserError. ``lm.largest_batches[task]`` keeps the size of the largest batch.
    """
    results, start = [], 0
    limit = max_batch_size or n
    while start < n:
        batch = slice(start, min(start + min(max(1, lm.memory // size), limit), n))
        count = batch.stop - batch.start
        try:
            results.append(work(batch))
            lm.largest_batches[task] = max(lm.largest_batches.get(task, 0), count)
            start = batch.stop
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if count == 1:
                value = f"{task}: one item of about {size / 2**20:.0f} MiB does not fit"
                raise UserError("memory", value, "Free memory, shorten the items or take a smaller model") from error
        limit = count // 2  # outside the handler, as the traceback keeps the batch's tensors alive
        lm.memory = max(MIN_BUDGET, min(lm.memory // 2, limit * size))
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()
    return results
