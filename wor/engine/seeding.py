"""Random numbers that depend on what they are for, and on nothing that ran before."""

from __future__ import annotations

import hashlib

import numpy as np


def generator_for(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """A generator of its own for each ``(seed, name, step)``: the same on every machine, in any order."""
    key = int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, step, 0]))
