"""Where the repository is. Apart from the other helpers, which load torch."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
