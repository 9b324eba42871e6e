"""Iterations by name, and what to say where there is none of that name."""

from __future__ import annotations

from pathlib import Path

from wor import paths
from wor.errors import UserError
from wor.iterations import registry


def complete_iterations(experiments: Path) -> dict[str, Path]:
    """Every complete iteration by name, oldest first. Raises UserError when there is none."""
    return require_any(
        {folder.name: folder for _, folder in sorted(registry.iteration_folders(experiments).items())}, experiments
    )


def require_any(found: dict[str, Path], experiments: Path) -> dict[str, Path]:
    """``found``, or a UserError when it is empty."""
    if not found:
        away = list(experiments.glob("iteration_*.dvc"))
        what = f"recorded iterations: {len(away)}, none of them here" if away else "no iteration yet"
        raise UserError(experiments, what, "Bring them back: dvc pull" if away else "Make one with: make run")
    return found


def find_iteration(iteration: str, found: dict[str, Path], experiments: Path) -> Path:
    """The one of that name, the newest for "". Raises UserError when there is none."""
    if iteration and iteration not in found:
        recorded = paths.pointer(experiments / iteration)
        if recorded.is_file():
            raise UserError("iteration", f"{iteration} is recorded, and not here", f"Bring it back: dvc pull {recorded}")
        raise UserError("iteration", f"{iteration!r} is not in {experiments}", f"There are: {', '.join(found)}")
    return found[iteration] if iteration else list(found.values())[-1]
