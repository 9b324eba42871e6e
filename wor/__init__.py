"""Measure reasoning effort inside small language models.

In a notebook: ``wor.load_iteration("iteration_001")``, or ``wor.probe("a prompt")`` in a study's
folder. Importing ``wor`` loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wor.iterations.load import Iteration, load_iteration
    from wor.pipeline.probe import probe

__all__ = ["Iteration", "load_iteration", "probe"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("wor.pipeline.probe" if name == "probe" else "wor.iterations.load"), name)
