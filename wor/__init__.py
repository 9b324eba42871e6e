"""Measures reasoning effort inside small language models. In a notebook: ``wor.load_iteration("iteration_001")``."""

from wor.iterations.load import Iteration, load_iteration

__all__ = ["Iteration", "load_iteration"]
