"""How much memory the engine may use on this machine."""

from __future__ import annotations

import psutil
import torch

from wor.engine.memory import MIN_BUDGET
from wor.machine import control_groups

GIB = 2**30
MAX_AUTO_BUDGET = 8 * GIB  # groups larger than this holds are no faster


def memory_budget(gib: float, device: str) -> tuple[int, str]:
    """Bytes that the engine may use beside the weights, and why: ``gib`` GiB, or (0) half of what is free."""
    if gib:
        return int(gib * GIB), f"compute.memory_gib is {gib:g}"
    if device == "cuda":
        free, where = torch.cuda.mem_get_info()[0], "GPU memory"
    else:
        free, where = psutil.virtual_memory().available, "memory"
        limit = control_groups.memory_left()
        if limit is not None and limit < free:  # beyond it this process would be killed, not refused
            free, where = limit, "memory, within the control group's limit,"
    chosen = max(MIN_BUDGET, min(free // 2, MAX_AUTO_BUDGET))
    return chosen, f"auto: half of the {free / GIB:.1f} GiB of {where} that is free, at most {MAX_AUTO_BUDGET // GIB}"
