"""Finished parts of a stage's work, kept outside the repository until the stage has written its output.

DVC deletes a stage's outputs before it runs it again, so what a killed stage had done must lie elsewhere. A
shard is some items of like length, always the same ones together: no batch size changes its composition, and
a resumed stage writes what an undisturbed one writes. A killed stage loses the shard that it was working on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.pipeline.progress import Log
from wor.process import interrupt

T = TypeVar("T")
Records = tuple[pd.DataFrame, dict[str, np.ndarray]]
Work = Callable[[object, list, Callable], Records]  # of the model, a shard's entries, and `advance`
KEPT = 14 * 24 * 3600  # seconds after which what an abandoned run left is removed


def compute_serially(what: str, lm, work: Work, shards: dict[int, list[T]], advance: Callable) -> Iterator[tuple[int, Records]]:
    """Compute each of ``shards`` in this process."""
    for index, entries in shards.items():
        yield index, work(lm, entries, advance)


class Shards:
    """One stage's shards, in folders that are named by a hash of everything that decides their content.

    Parameters
    ----------
    lm : the engine's model. Its memory budget is kept beside the shards, so that a resumed stage makes the
        groups that the killed one would have made; a smaller budget that is given now wins.
    identity : weights, code, versions and machine, as JSON can say it.
    compute : gives each shard's number and records once they are there, in any order; see `in_turn`.
    """

    def __init__(self, lm, identity: dict, log: Log, compute: Callable = compute_serially):
        self.lm, self.identity, self.log, self.compute = lm, identity, log, compute
        self.used, self.locks = [], []
        _remove_old()

    def run(
        self,
        what: str,
        size: int,
        entries: Sequence[T],
        length: Callable[[T], int],
        describe: Callable[[T], object],
        settings: object,
        work: Work,
        weigh: Callable[[list[T]], Sequence[float]] = lambda entries: [1.0] * len(entries),
    ) -> Records:
        """``work(lm, entries, advance)`` for each shard of ``entries``, or what an interrupted run left of it.

        Parameters
        ----------
        size : entries in a shard.
        length : of an entry, in tokens; neighbours in this order share a shard.
        describe : all of an entry that decides its result, as JSON can say it.
        settings : what else decides the results.
        work : gives one row and one index of each array an entry, and calls ``advance`` with the number done. A
            function of a module, or a ``partial`` of one: it may be sent to another process.
        weigh : what each entry of a shard costs, in any unit: time left follows from it.

        Returns
        -------
        Rows and arrays in the order of ``entries``.
        """
        order = sorted(range(len(entries)), key=lambda index: (length(entries[index]), index))
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        folder = self._folder([what, size, settings, [describe(entry) for entry in entries]])
        names = [folder / f"{index:05d}-of-{len(parts):05d}" for index in range(len(parts))]
        missing = [index for index, name in enumerate(names) if not _is_whole(name)]
        left = sum(len(parts[index]) for index in missing)
        if left < len(entries):
            self.log.info(f"{what}: {len(entries) - left} of {len(entries)} were done before an interruption")
        shards = {index: [entries[place] for place in parts[index]] for index in missing}
        interrupt.register_progress(what, len(entries), partial(_entries_of_whole, dict(zip(names, parts, strict=True))))
        with self.log.bar(what, [cost for shard in shards.values() for cost in weigh(shard)]) as advance:
            for index, records in self.compute(what, self.lm, work, shards, advance):
                self._keep_memory(folder)
                storage.write_records(names[index], *records)
        # Also what was made just now is read back, so that a resumed run cannot differ from an undisturbed one.
        frames, arrays = zip(*(storage.read_records(name) for name in names), strict=True)
        back = np.argsort(np.concatenate(parts))
        merged = {name: np.concatenate([found[name] for found in arrays])[back] for name in arrays[0]}
        return pd.concat(frames, ignore_index=True).iloc[back].reset_index(drop=True), merged

    def collect(self) -> None:
        """Remove the shards: the stage has written its output."""
        for folder in self.used:
            shutil.rmtree(folder, ignore_errors=True)
        for lock in self.locks:
            lock.close()

    def _folder(self, inputs: list) -> Path:
        described = json.dumps([self.identity, inputs], sort_keys=True, default=str)
        folder = paths.shards() / hashlib.sha256(described.encode()).hexdigest()[:32]
        if not self._is_ours(folder):  # the same work in another process, which will remove its shards
            folder = folder.with_name(f"{folder.name}-{os.getpid()}")
        self.used.append(folder)
        if (kept := folder / "memory.json").is_file():
            self.lm.memory = min(self.lm.memory, storage.read_json(kept)["bytes"])
        self._keep_memory(folder)
        return folder

    def _is_ours(self, folder: Path) -> bool:
        """Take the folder until this process ends or collects, unless another process has it."""
        paths.shards().mkdir(parents=True, exist_ok=True)
        lock = open(folder.with_suffix(".lock"), "w")  # noqa: SIM115 - held until `collect`
        self.locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _keep_memory(self, folder: Path) -> None:
        storage.write_json(folder / "memory.json", {"bytes": self.lm.memory})


def _is_whole(folder: Path) -> bool:
    return (folder / "arrays.safetensors").is_file()  # the second of its two files; each is written whole


def _entries_of_whole(parts: dict[Path, list[int]]) -> int:
    return sum(len(part) for folder, part in parts.items() if _is_whole(folder))


def _remove_old() -> None:
    for path in paths.shards().glob("*"):
        with suppress(FileNotFoundError):  # another process removes too
            if time.time() - path.stat().st_mtime <= KEPT:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
