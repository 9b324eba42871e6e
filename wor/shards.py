"""Finished parts of a stage's work, kept outside the repository until the stage has written its output.

DVC deletes a stage's outputs before it runs it again, so what a killed stage had done must lie elsewhere. A
shard is some items of like length, always the same ones together: no batch size changes its composition, and
a resumed stage writes what an undisturbed one writes. A killed stage loses the shard that it was working on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.progress import Log

T = TypeVar("T")
Records = tuple[pd.DataFrame, dict[str, np.ndarray]]
KEPT = 14 * 24 * 3600  # seconds after which what an abandoned run left is removed


class Shards:
    """One stage's shards, in folders that are named by a hash of everything that decides their content.

    Parameters
    ----------
    lm : the engine's model. Its memory budget is kept beside the shards: a resumed stage makes the groups that
        the killed one would have made.
    identity : weights, code, versions and machine, as JSON can say it.
    """

    def __init__(self, lm, identity: dict, log: Log):
        self.lm, self.identity, self.log, self.used = lm, identity, log, []
        _remove_old()

    def run(
        self,
        what: str,
        size: int,
        entries: Sequence[T],
        lengths: Sequence[int],
        inputs: object,
        work: Callable[..., Records],
    ) -> Records:
        """``work(entries, advance)`` for each shard of ``entries``, or what an interrupted run left of it.

        Parameters
        ----------
        size : entries in a shard.
        lengths : one for each entry; a shard has neighbours in this order.
        inputs : what else decides the result, as JSON can say it: the entries themselves, and settings.
        work : gives one row and one index of each array an entry, and calls ``advance`` with the number done.

        Returns
        -------
        Rows and arrays in the order of ``entries``.
        """
        order = sorted(range(len(entries)), key=lambda index: (lengths[index], index))
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        folder = self._folder(what, size, inputs)
        names = [folder / f"{index:05d}-of-{len(parts):05d}" for index in range(len(parts))]
        missing = [index for index, name in enumerate(names) if not _is_whole(name)]
        left = sum(len(parts[index]) for index in missing)
        if left < len(entries):
            self.log.say(f"{what}: {len(entries) - left} of {len(entries)} were done before an interruption")
        with self.log.bar(what, left) as advance:
            for index in missing:
                storage.write_records(names[index], *work([entries[place] for place in parts[index]], advance))
                self._keep_memory(folder)
        # Also what was made just now is read back, so that a resumed run cannot differ from an undisturbed one.
        frames, arrays = zip(*(storage.read_records(name) for name in names), strict=True)
        back = np.argsort(np.concatenate(parts))
        merged = {name: np.concatenate([found[name] for found in arrays])[back] for name in arrays[0]}
        return pd.concat(frames, ignore_index=True).iloc[back].reset_index(drop=True), merged

    def collect(self) -> None:
        """Remove the shards: the stage has written its output."""
        for folder in self.used:
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, what: str, size: int, inputs: object):
        described = json.dumps([self.identity, what, size, inputs], sort_keys=True, default=str)
        folder = paths.shards() / hashlib.sha256(described.encode()).hexdigest()[:32]
        self.used.append(folder)
        if (kept := folder / "memory.json").is_file():
            self.lm.memory = storage.read_json(kept)["bytes"]
        else:
            self._keep_memory(folder)
        return folder

    def _keep_memory(self, folder) -> None:
        storage.write_json(folder / "memory.json", {"bytes": self.lm.memory})


def _is_whole(folder) -> bool:
    return (folder / "arrays.safetensors").is_file()  # the second of its two files; each is written whole


def _remove_old() -> None:
    for folder in paths.shards().glob("*"):
        if time.time() - folder.stat().st_mtime > KEPT:
            shutil.rmtree(folder, ignore_errors=True)
