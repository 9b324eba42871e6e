"""Process items in parallel, one thread each, so that threads need not wait at every operation."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import TypeVar

import torch

from wor.engine.model import LM

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_items(
    lm: LM, work: Callable[[LM, Item], Result], items: Sequence[Item], advance: Callable[[], None], threads: int = 1
) -> list[Result]:
    """Return ``work(lm, item)`` for each item, in order. Call ``advance()`` after each one.

    On a CPU, as many items run at once as torch's threads allow, with ``threads`` each. Each model
    shares only the weights: it has its own hooks and share of memory. With one thread per item no
    result depends on how many there are. ``work`` must not use the tokenizer, which is not
    thread-safe. After an error, no further item begins.
    """
    if lm.device.type != "cpu":
        results = []
        for item in items:
            results.append(work(lm, item))
            advance()
        return results
    models = _with_shared_weights(lm, max(1, min(torch.get_num_threads() // threads, len(items))))
    free: SimpleQueue[LM] = SimpleQueue()
    for model in models:
        free.put(model)

    def on_free_model(item: Item) -> Result:
        model = free.get()
        try:
            return work(model, item)
        finally:
            free.put(model)

    with ThreadPoolExecutor(len(models), initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        try:
            futures = [pool.submit(on_free_model, item) for item in items]
            for future in as_completed(futures):
                future.result()  # raises the item's error
                advance()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for model in models:
        if model.memory < model.budget[0]:  # halved, since memory ran out
            lm.memory = min(lm.memory, model.memory * len(models))
        for task, size in model.largest_batches.items():
            lm.largest_batches[task] = max(lm.largest_batches.get(task, 0), size)
    return [future.result() for future in futures]


def _with_shared_weights(lm: LM, count: int) -> list[LM]:
    """Return models with their own modules on the weights of ``lm``."""
    shared = {id(tensor): tensor for tensor in (*lm.hf.parameters(), *lm.hf.buffers())}
    budget = lm.memory // count
    return [LM(copy.deepcopy(lm.hf, dict(shared)), None, budget, lm.budget[1]) for _ in range(count)]
