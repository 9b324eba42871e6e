"""Items side by side, each on one thread: none waits for the slowest of several, as it does at each operation of torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import TypeVar

import torch

from wor.engine.model import LM

Entry, Found = TypeVar("Entry"), TypeVar("Found")


def map_items(lm: LM, work: Callable[[LM, Entry], Found], entries: Sequence[Entry], advance: Callable[[], None]) -> list[Found]:
    """``work(lm, entry)`` of each entry, in the order of ``entries``; ``advance()`` as each is done.

    On a CPU as many at a time as torch has threads here, in models that share ``lm``'s weights and nothing else: neither
    hooks nor memory budget, which is divided among them. What ``work`` finds does not depend on how many there are.
    It must leave the tokenizer alone, which is not to be used by two threads at once. When one fails, those that are
    not begun are left out.
    """
    if lm.device.type != "cpu":
        found = []
        for entry in entries:
            found.append(work(lm, entry))
            advance()
        return found
    models = SimpleQueue()
    beside = _with_shared_weights(lm, max(1, min(torch.get_num_threads(), len(entries))))
    for model in beside:
        models.put(model)

    def on_one(entry: Entry) -> Found:
        model = models.get()
        try:
            return work(model, entry)
        finally:
            models.put(model)

    with ThreadPoolExecutor(len(beside), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        try:
            begun = [threads.submit(on_one, entry) for entry in entries]
            for one in as_completed(begun):
                one.result()  # or what it raised
                advance()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
    for model in beside:
        if model.memory < model.budget[0]:  # halved, since memory ran out
            lm.memory = min(lm.memory, model.memory * len(beside))
        for what, most in model.groups.items():
            lm.groups[what] = max(lm.groups.get(what, 0), most)
    return [one.result() for one in begun]


def _with_shared_weights(lm: LM, count: int) -> list[LM]:
    """Models on the weights of ``lm``, with modules of their own."""
    shared = {id(tensor): tensor for tensor in (*lm.hf.parameters(), *lm.hf.buffers())}
    share = lm.memory // count
    return [LM(copy.deepcopy(lm.hf, dict(shared)), None, share, lm.budget[1], lm.template) for _ in range(count)]
