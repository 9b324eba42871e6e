"""Keep finished parts of a stage's work outside the repository until its output is written.

DVC deletes a stage's outputs before it runs the stage again. A shard is a group of items of similar
length. No batch size changes it, so a resumed stage writes what an undisturbed one writes.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from wor import paths, storage
from wor.engine.parallel import Task, run_tasks
from wor.pipeline.progress import Log
from wor.process import interrupt

T = TypeVar("T")
Records = tuple[pd.DataFrame, dict[str, np.ndarray]]
ComputeShard = Callable[..., Task[Records]]  # of the model, a shard's entries and `advance`
MAX_AGE = 14 * 24 * 3600  # seconds after which shards of an abandoned run are removed


def compute_here(
    task: str, lm, work: ComputeShard, shards: dict[int, list], n: int, advance: Callable
) -> Iterator[tuple[int, Records]]:
    """Compute ``shards`` in this process, and yield the index and records of each as it ends.

    ``n`` is the number of entries in all, also of shards that an interrupted run left.
    """
    tasks = ((index, work(lm, entries, advance)) for index, entries in shards.items())
    return run_tasks(lm, tasks, n)


class Shards:
    """The shards of one stage, in folders named by a hash of everything that decides their content.

    ``lm.memory`` is stored beside the shards, so that a resumed stage makes the same batches. A
    smaller current budget wins. ``identity``, in JSON values, is weights, code, versions, machine.
    ``compute`` yields the index and records of each shard in any order; see `compute_here`.
    """

    def __init__(self, lm, identity: dict, log: Log, compute: Callable = compute_here):
        self.lm, self.identity, self.log, self.compute = lm, identity, log, compute
        self.folders: list[Path] = []
        self.locks: list[FileLock] = []
        _remove_old()

    def run(
        self,
        task: str,
        size: int,
        entries: Sequence[T],
        length: Callable[[T], int],
        describe: Callable[[T], object],
        settings: object,
        work: ComputeShard,
        cost: Callable[[list[T]], Sequence[float]] = lambda entries: [1.0] * len(entries),
    ) -> Records:
        """Return rows and arrays, in order of ``entries``, computed or left by an interrupted run.

        ``size`` entries of similar ``length``, in tokens, share a shard. As JSON values,
        ``describe`` gives all of an entry that decides its result, and ``settings`` is everything
        else that does. ``work`` is a `parallel.Task`, which returns one row, and one index of each
        array, per entry of a shard. What it runs calls ``advance`` with the number done, from any
        thread. It must be picklable, as it may run in another process. ``cost`` is that of each
        entry of a shard, in any unit, for the time left.
        """
        order = sorted(range(len(entries)), key=lambda index: (length(entries[index]), index))
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        folder = self._open_folder([task, size, settings, [describe(entry) for entry in entries]])
        names = [folder / f"{index:05d}-of-{len(parts):05d}" for index in range(len(parts))]
        missing = [index for index, name in enumerate(names) if not _is_complete(name)]
        n_missing = sum(len(parts[index]) for index in missing)
        if n_missing < len(entries):
            self.log.info(f"{task}: {len(entries) - n_missing} of {len(entries)} were done before an interruption")
        shards = {index: [entries[position] for position in parts[index]] for index in missing}
        interrupt.register_progress(task, len(entries), partial(_count_complete, dict(zip(names, parts, strict=True))))
        lock = Lock()
        with self.log.bar(task, [value for shard in shards.values() for value in cost(shard)]) as advance_bar:

            def advance(done: float = 1) -> None:
                with lock:
                    advance_bar(done)

            for index, records in self.compute(task, self.lm, work, shards, len(entries), advance):
                self._store_memory(folder)
                storage.write_records(names[index], *records)
        # New shards are read back too, so that a resumed run cannot differ from an undisturbed one.
        frames, arrays = zip(*(storage.read_records(name) for name in names), strict=True)
        back = np.argsort(np.concatenate(parts))
        merged = {name: np.concatenate([shard[name] for shard in arrays])[back] for name in arrays[0]}
        return pd.concat(frames, ignore_index=True).iloc[back].reset_index(drop=True), merged

    def of_model(self, lm, identity: dict, compute: Callable) -> "Shards":
        """Return the shards of another model of the same stage. `collect` here removes them too."""
        shards = Shards(lm, identity, self.log, compute)
        shards.folders, shards.locks = self.folders, self.locks
        return shards

    def collect(self) -> None:
        """Remove the shards, once the stage has written its output."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for lock in self.locks:
            lock.release()

    def _open_folder(self, inputs: list) -> Path:
        described = json.dumps([self.identity, inputs], sort_keys=True, default=str)
        folder = paths.shards() / hashlib.sha256(described.encode()).hexdigest()[:32]
        lock = FileLock(folder.with_suffix(".lock"))
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            os.utime(lock.lock_file)  # `_remove_old` goes by its age
            self.locks.append(lock)
        except Timeout:  # another process does the same work, and will remove its shards
            folder = folder.with_name(f"{folder.name}-{os.getpid()}")
        self.folders.append(folder)
        if (memory := folder / "memory.json").is_file():
            self.lm.memory = min(self.lm.memory, storage.read_json(memory)["bytes"])
        self._store_memory(folder)
        return folder

    def _store_memory(self, folder: Path) -> None:
        storage.write_json(folder / "memory.json", {"bytes": self.lm.memory})


def _is_complete(folder: Path) -> bool:
    return (folder / "arrays.safetensors").is_file()  # the second of two files, each of them renamed into place


def _count_complete(parts: dict[Path, list[int]]) -> int:
    return sum(len(part) for folder, part in parts.items() if _is_complete(folder))


def _remove_old() -> None:
    for path in paths.shards().glob("*"):
        with suppress(FileNotFoundError):  # another process removes too
            if time.time() - path.stat().st_mtime <= MAX_AGE:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
