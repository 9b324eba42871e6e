"""Head ranking and removal: what the `heads` stage runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from wor.data.items import Item, round_robin
from wor.engine import ablate, cost
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.measures.heads import random_heads_by_layer, top_heads
from wor.pipeline.session import Session
from wor.pipeline.shards import Records

SHARD_SIZE = 4  # items that a killed stage may lose
MIN_CONTEXT = 8  # tokens of a control text before the scored ones


def teacher_forced(lm: LM, item: Item, span: int) -> tuple[list[int], int]:
    """Token IDs and the first scored position: a gold solution after its prompt, or a text's own middle.

    Reasoning: the rendered prompt, then the solution's first ``span`` tokens. Control: the article as it
    stands, scored from its middle for ``span`` tokens. Both are text that the model did not write.
    """
    gold = lm.encode(item.gold)
    if item.role == "reasoning":
        prompt = lm.encode_prompt(item.prompt, span, item.item_id)
        return prompt + gold[:span], len(prompt)
    first = max(MIN_CONTEXT, min(len(gold) // 2, len(gold) - span))
    return gold[: first + span], first


def items_with_gold(items: Sequence[Item], role: str, split: str, n: int) -> list[Item]:
    """The first ``n`` items of a role and split that have a gold text, the datasets in turn."""
    return round_robin([item for item in items if item.role == role and item.split == split and item.gold], n)


def rank_heads(run: Session, items: Sequence[Item], heads: torch.Tensor) -> pd.DataFrame:
    """Each head's mean ablation KL over calibration items, by role; ``effect`` is reasoning minus control.

    ``heads``, [L, H, Dh], stands in for a head that is taken out.
    """
    lm = run.lm
    texts = [teacher_forced(lm, item, run.params.heads.span) for item in items]
    work = partial(_effects, heads=heads)
    weigh = partial(_cost, lm, copies=lm.n_heads)
    _, arrays = run.shards.run("items for ranking heads", SHARD_SIZE, texts, _length, list, heads.tolist(), work, weigh)
    roles = np.array([item.role for item in items])
    effects = {role: arrays["effect"][roles == role].mean(0) for role in ("reasoning", "control")}
    layer, head = np.divmod(np.arange(lm.n_layers * lm.n_heads), lm.n_heads)
    table = pd.DataFrame({"layer": layer, "head": head, **{role: found.ravel() for role, found in effects.items()}})
    table["effect"] = table["reasoning"] - table["control"]
    return table


def _effects(lm: LM, chosen: list[tuple[list[int], int]], advance: Callable, heads: torch.Tensor) -> Records:
    def effect(lm: LM, text: tuple[list[int], int]) -> np.ndarray:
        ids, first = text
        clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
        return ablate.head_kl(lm, clean, heads).mean(-1).cpu().double().numpy()

    effects = map_items(lm, effect, chosen, advance)
    return pd.DataFrame({"first": [first for _, first in chosen]}), {"effect": np.stack(effects)}


def score_without_heads(run: Session, items: Sequence[Item], effect: np.ndarray, heads: torch.Tensor) -> pd.DataFrame:
    """Teacher-forced token accuracy of each item with heads removed, ranked and random.

    The same random heads are removed for every item, drawn from params.seed.
    """
    lm, settings = run.lm, run.params.heads
    generator = np.random.default_rng(run.params.seed)
    plans = []
    for share in settings.shares:
        chosen = top_heads(effect, share)
        plans.append((share, "ranked", 0, chosen))
        if chosen:
            draws = [random_heads_by_layer(chosen, lm.n_heads, generator) for _ in range(settings.random_draws)]
            plans += [(share, "random", draw, drawn) for draw, drawn in enumerate(draws, 1)]
    removed = [plan for *_, plan in plans]
    texts = [teacher_forced(lm, item, settings.span) for item in items]
    work = partial(_accuracies, removed=removed, heads=heads)
    what, weigh = "items scored with heads removed", partial(_cost, lm, copies=2 * len(plans) / lm.n_layers)
    _, arrays = run.shards.run(what, SHARD_SIZE, texts, _length, list, [removed, heads.tolist()], work, weigh)
    rows = [
        (item.item_id, item.dataset, item.role, share, kind, draw, len(plan), accuracy)
        for item, accuracies in zip(items, arrays["accuracy"], strict=True)
        for (share, kind, draw, plan), accuracy in zip(plans, accuracies, strict=True)
    ]
    columns = ["item_id", "dataset", "role", "share", "kind", "draw", "n_heads", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def _accuracies(lm: LM, chosen: list[tuple[list[int], int]], advance: Callable, removed: list, heads: torch.Tensor) -> Records:
    accuracies = map_items(lm, lambda lm, text: ablate.removal_accuracy(lm, *text, removed, heads), chosen, advance)
    return pd.DataFrame({"first": [first for _, first in chosen]}), {"accuracy": np.array(accuracies)}


def _cost(lm: LM, chosen: list[tuple[list[int], int]], copies: float) -> list[float]:
    """What each costs: once through, then its scored tokens in ``copies`` copies a layer, as `cost.window` counts them."""
    return [len(ids) + cost.window(lm, len(ids) - first, copies) for ids, first in chosen]


def _length(text: tuple[list[int], int]) -> int:
    return len(text[0])
