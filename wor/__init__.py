"""Measure reasoning effort inside small language models.

In a notebook: ``wor.load_iteration("iteration_001")``. Importing ``wor`` loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wor.iterations.load import Iteration, load_iteration

__all__ = ["Iteration", "load_iteration"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from wor.iterations import load

    return getattr(load, name)
