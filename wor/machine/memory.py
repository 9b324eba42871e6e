"""Determine how much memory the engine may use on this machine."""

import psutil
import torch

from wor.engine.memory import MIN_BUDGET
from wor.machine import control_groups

GIB = 2**30
MAX_AUTO_BUDGET = 8 * GIB  # larger batches are no faster


def memory_budget(gib: float, device: str) -> tuple[int, str]:
    """Return the engine's bytes beside the weights, and why. ``gib`` 0 is half the free memory."""
    if gib:
        return int(gib * GIB), f"compute.memory_gib is {gib:g}"
    if device == "cuda":
        free, kind = torch.cuda.mem_get_info()[0], "GPU memory"
    else:
        free, kind = psutil.virtual_memory().available, "memory"
        limit = control_groups.memory_left()
        if limit is not None and limit < free:  # beyond it, the kernel kills this process
            free, kind = limit, "memory, within the control group's limit,"
    budget = max(MIN_BUDGET, min(free // 2, MAX_AUTO_BUDGET))
    return budget, f"auto: half of the {free / GIB:.1f} GiB of {kind} that is free, at most {MAX_AUTO_BUDGET // GIB}"
