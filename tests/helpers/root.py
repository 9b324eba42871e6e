"""The path of the repository, in a module that loads nothing."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
