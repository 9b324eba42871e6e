"""Process items in parallel, one thread each, so that threads need not wait at every operation."""

import copy
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from itertools import chain
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeAlias, TypeVar

import torch

from wor.engine.model import LM

MIN_ROWS = 4  # of a group of prompts; fewer would waste a thread's passes over the weights
TOGETHER = 16  # items that share each pass on a device that would wait for launches, a CPU's thread has one
Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")
# It yields a function of a model and an item, and items. It is sent their results in order, and
# returns its own.
Task: TypeAlias = Generator[tuple[Callable[[LM, Any], Any], Sequence], list, Result]


def run_tasks(lm: LM, tasks: Iterable[tuple[Key, Task]], items: int) -> Iterator[tuple[Key, Result]]:
    """Run tasks, and yield the key and the result of each as it ends. Their items share one queue.

    On a CPU as many items run at once as torch's threads allow, and the next task begins before the
    last items of the one before have ended. So no thread waits until no item is left. Each item has
    a thread, or several if ``items`` are fewer than threads. That is the number of a whole stage,
    so that an interrupted one goes on with the same rounding. With one thread per item no result
    depends on how many there are. Each model shares only the weights: it has its own hooks and
    share of memory. The function must not use the tokenizer, which is not thread-safe. After an
    error, no further item begins.
    """
    begun = ((key, task, *next(task)) for key, task in tasks)
    if lm.device.type != "cpu":
        for key, task, work, parts in begun:
            yield key, _finish(task, [work(lm, part) for part in parts])
        return
    threads = max(1, torch.get_num_threads() // max(1, items))
    with _workers(lm, max(1, min(torch.get_num_threads() // threads, items)), threads) as submit:
        running: dict[Future, tuple[Key, Task, list[Future]]] = {}
        while True:
            while len(running) < 2 * torch.get_num_threads() and (entry := next(begun, None)):
                key, task, work, parts = entry
                futures = [submit(work, part) for part in parts]
                running |= dict.fromkeys(futures, (key, task, futures))
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()  # raises the item's error
                key, task, futures = running.pop(future)
                if not any(part in running for part in futures):
                    yield key, _finish(task, [part.result() for part in futures])


def _finish(task: Task, results: list) -> Any:
    try:
        task.send(results)
    except StopIteration as stop:
        return stop.value
    raise TypeError("a task yields once")


def map_items(
    lm: LM, work: Callable[[LM, Item], Result], items: Sequence[Item], advance: Callable[[], None], threads: int = 1
) -> list[Result]:
    """Return ``work(lm, item)`` for each item, in order. Call ``advance()`` after each one.

    On a CPU, as many items run at once as torch's threads allow, with ``threads`` each. For the
    rest see `run_tasks`.
    """
    if lm.device.type != "cpu":
        results = []
        for item in items:
            results.append(work(lm, item))
            advance()
        return results
    with _workers(lm, max(1, min(torch.get_num_threads() // threads, len(items))), threads) as submit:
        futures = [submit(work, item) for item in items]
        for future in as_completed(futures):
            future.result()
            advance()
    return [future.result() for future in futures]


@contextmanager
def _workers(lm: LM, count: int, threads: int) -> Iterator[Callable[[Callable, Any], Future]]:
    """Yield what submits a call to one of ``count`` models. At an error it cancels what waits."""
    free: SimpleQueue[LM] = SimpleQueue()
    for model in _with_shared_weights(lm, count):
        free.put(model)
    lock = Lock()

    def on_free_model(work: Callable[[LM, Any], Any], item: Any) -> Any:
        model = free.get()
        try:
            return work(model, item)
        finally:
            with lock:
                if model.memory < model.budget[0]:  # halved, since memory ran out
                    lm.memory = min(lm.memory, model.memory * count)
                for task, size in model.largest_batches.items():
                    lm.largest_batches[task] = max(lm.largest_batches.get(task, 0), size)
            free.put(model)

    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        try:
            yield lambda work, item: pool.submit(on_free_model, work, item)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def deal(lm: LM, kinds: Sequence[Hashable]) -> list[list[int]]:
    """Deal items to groups, each for one call: ``kinds[i]`` is that of item i.

    On a CPU each item is alone, elsewhere up to TOGETHER of one kind are in a group.
    """
    groups: dict[Hashable, list[list[int]]] = {}
    for index, kind in enumerate(kinds):
        of_kind = groups.setdefault(index if lm.device.type == "cpu" else kind, [[]])
        if len(of_kind[-1]) == TOGETHER:
            of_kind.append([])
        of_kind[-1].append(index)
    return [group for of_kind in groups.values() for group in of_kind]


def deal_rows(lm: LM, keys: Sequence[tuple[int, str]]) -> list[list[int]]:
    """Deal prompts to groups that are generated at once, a thread each: MIN_ROWS or more in each.

    ``keys`` are their lengths and names. Groups are alike in length. Elsewhere than on a CPU there
    is one.
    """
    threads = torch.get_num_threads() if lm.device.type == "cpu" else 1
    order = sorted(range(len(keys)), key=lambda index: keys[index])
    count = max(1, min(threads, len(keys) // MIN_ROWS))
    return [order[first::count] for first in range(count)]


def in_order(groups: Sequence[Sequence[int]], results: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the results of dealt items, in the items' order."""
    by_index = dict(zip(chain(*groups), chain(*results), strict=True))
    return [by_index[index] for index in range(len(by_index))]


def _with_shared_weights(lm: LM, count: int) -> list[LM]:
    """Return models with their own modules on the weights of ``lm``."""
    shared = {id(tensor): tensor for tensor in (*lm.hf.parameters(), *lm.hf.buffers())}
    budget = lm.memory // count
    return [LM(copy.deepcopy(lm.hf, dict(shared)), None, budget, lm.budget[1]) for _ in range(count)]
