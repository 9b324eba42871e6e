"""Draw random numbers that depend on a seed and a name, and on nothing that ran before."""

import hashlib

import numpy as np


def generator_for(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """Return the generator of ``(seed, name, step)``, equal on every machine and in any order."""
    key = int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, step, 0]))
