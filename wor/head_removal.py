"""Head ranking and removal: what the `heads` stage runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wor.engine import ablate
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.observe import Means
from wor.items import Item
from wor.measures.heads import matched_random, ranked
from wor.params import Params
from wor.progress import Log

LEAST_CONTEXT = 8  # tokens of a control text before the scored ones


def teacher_forced(lm: LM, item: Item, span: int) -> tuple[list[int], int]:
    """Token IDs and the first scored position: a gold solution after its prompt, or a text's own middle.

    Reasoning: the rendered prompt, then the solution's first ``span`` tokens. Control: the article as it
    stands, scored from its middle for ``span`` tokens. Both are text that the model did not write.
    """
    gold = lm.encode(item.gold)
    if item.role == "reasoning":
        prompt = lm.encode_prompt(item.prompt, span, item.item_id)
        return prompt + gold[:span], len(prompt)
    first = max(LEAST_CONTEXT, min(len(gold) // 2, len(gold) - span))
    return gold[: first + span], first


def choose(items: Sequence[Item], role: str, split: str, n: int) -> list[Item]:
    """The first ``n`` items of a role and split, the datasets in turn."""
    by_dataset: dict[str, list[Item]] = {}
    for item in items:
        if item.role == role and item.split == split and item.gold:
            by_dataset.setdefault(item.dataset, []).append(item)
    most = max(map(len, by_dataset.values()), default=0)
    turns = [group[index] for index in range(most) for group in by_dataset.values() if index < len(group)]
    return turns[:n]


def rank(lm: LM, items: Sequence[Item], means: Means, span: int, log: Log) -> pd.DataFrame:
    """Each head's mean ablation KL over calibration items, by role; ``effect`` is reasoning minus control."""
    sums = {"reasoning": [], "control": []}
    with log.bar("items for ranking heads", len(items)) as advance:
        for item in items:
            ids, first = teacher_forced(lm, item, span)
            clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
            sums[item.role].append(ablate.head_kl(lm, clean, means.head).mean(-1).cpu().double().numpy())
            advance()
    effects = {role: np.mean(found, axis=0) for role, found in sums.items()}
    layer, head = np.divmod(np.arange(lm.n_layers * lm.n_heads), lm.n_heads)
    table = pd.DataFrame({"layer": layer, "head": head, **{role: found.ravel() for role, found in effects.items()}})
    table["effect"] = table["reasoning"] - table["control"]
    return table


def removal(lm: LM, items: Sequence[Item], effect: np.ndarray, means: Means, params: Params, log: Log) -> pd.DataFrame:
    """Teacher-forced token accuracy of each item with heads removed, ranked and random.

    The same random heads are removed for every item, drawn from params.seed.
    """
    settings = params.heads
    generator = np.random.default_rng(params.seed)
    plans = []
    for share in settings.shares:
        chosen = ranked(effect, share)
        plans.append((share, "ranked", 0, chosen))
        if chosen:
            draws = [matched_random(chosen, lm.n_heads, generator) for _ in range(settings.random_draws)]
            plans += [(share, "random", draw, heads) for draw, heads in enumerate(draws, 1)]
    rows = []
    with log.bar("items scored with heads removed", len(items)) as advance:
        for item in items:
            ids, first = teacher_forced(lm, item, settings.span)
            accuracies = ablate.removal_accuracy(lm, ids, first, [heads for *_, heads in plans], means.head)
            for (share, kind, draw, heads), accuracy in zip(plans, accuracies, strict=True):
                rows.append((item.item_id, item.dataset, item.role, share, kind, draw, len(heads), accuracy))
            advance()
    columns = ["item_id", "dataset", "role", "share", "kind", "draw", "n_heads", "accuracy"]
    return pd.DataFrame(rows, columns=columns)
