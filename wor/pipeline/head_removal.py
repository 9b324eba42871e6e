"""Rank attention heads and score gold text with heads removed, for stage `heads`."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from wor.config.params import ROLES
from wor.data.build import gold_continuation
from wor.data.items import Item
from wor.engine import ablate, cost
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import Task
from wor.pipeline.session import Session
from wor.pipeline.shards import Records

SHARD_SIZE = 4  # items that a killed stage may lose

Head = tuple[int, int]  # layer, head
Text = tuple[list[int], int]  # token IDs, first scored position


def teacher_forced(lm: LM, item: Item, span: int) -> Text:
    """Return token IDs and the first scored position of a text that people wrote.

    It is the rendered prompt, then the first ``span`` tokens of the item's gold continuation.
    """
    prompt = lm.encode_prompt(item.prompt, span, item.item_id)
    return prompt + lm.encode(gold_continuation(item))[:span], len(prompt)


def measure_heads(run: Session, items: Sequence[Item], heads: torch.Tensor) -> np.ndarray:
    """Return each head's ablation KL, its mean over an item's scored tokens: ``[N, L, H]`` nats.

    ``heads``, [L, H, Dh], replaces a removed head's output.
    """
    lm = run.lm
    if not items:
        return np.zeros((0, lm.n_layers, lm.n_heads))
    return _run(run, "items for ranking heads", items, heads.tolist(), partial(_effects, heads=heads), lm.n_heads)["effect"]


def rank_heads(items: Sequence[Item], kl: np.ndarray) -> pd.DataFrame:
    """Return each head's mean of ``kl`` by role, and ``effect``: reasoning minus control."""
    roles = np.array([item.role for item in items])
    layer, head = np.divmod(np.arange(kl[0].size if items else 0), kl.shape[2])
    means = {role: kl[roles == role].mean(0).ravel() if items else [] for role in ROLES}
    table = pd.DataFrame({"layer": layer, "head": head, **means})
    return table.assign(effect=table["reasoning"] - table["control"])


def _effects(lm: LM, texts: list[Text], advance: Callable, heads: torch.Tensor) -> Task[Records]:
    def effect(lm: LM, text: Text) -> np.ndarray:
        ids, first = text
        clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
        kl = ablate.head_kl(lm, clean, heads).mean(-1).cpu().double().numpy()
        advance()
        return kl

    return _first_positions(texts), {"effect": np.stack((yield effect, texts))}


def describe_items(items: Sequence[Item]) -> pd.DataFrame:
    """Return what identifies items, and their roles and clusters."""
    columns = ["item_id", "dataset", "role", "cluster"]
    return pd.DataFrame([[getattr(item, column) for column in columns] for item in items], columns=columns)


def top_heads(effect: np.ndarray, share: float) -> list[Head]:
    """Return the ``share`` of heads with the largest ``effect`` [L, H]. The earlier wins a tie."""
    count = round(share * effect.size)
    order = np.argsort(-effect, axis=None, kind="stable")[:count]
    return [(int(layer), int(head)) for layer, head in zip(*np.unravel_index(order, effect.shape), strict=True)]


def random_heads_by_layer(ranked: list[Head], n_heads: int, generator: np.random.Generator) -> list[Head]:
    """Draw as many other heads in each layer as ``ranked`` has there, without replacement.

    A layer with fewer others gives all of them.
    """
    drawn = []
    for layer, count in sorted(Counter(layer for layer, _ in ranked).items()):
        others = [head for head in range(n_heads) if (layer, head) not in ranked]
        if others:
            picks = generator.choice(others, min(count, len(others)), replace=False)
            drawn += [(layer, int(head)) for head in sorted(picks)]
    return drawn


def score_without_heads(run: Session, items: Sequence[Item], ranking: pd.DataFrame, heads: torch.Tensor) -> pd.DataFrame:
    """Return each item's teacher-forced accuracy with the same ranked or random heads removed."""
    columns = ["item_id", "dataset", "role", "cluster", "share", "kind", "draw", "n_heads", "accuracy"]
    if not items:
        return pd.DataFrame(columns=columns)
    settings, generator = run.params.heads, np.random.default_rng(run.params.seed)
    effect = ranking["effect"].to_numpy().reshape(run.lm.n_layers, run.lm.n_heads)
    plans: list[tuple[float, str, int, list[Head]]] = []
    for share in settings.shares:
        ranked = top_heads(effect, share)
        plans.append((share, "ranked", 0, ranked))
        for draw in range(1, 1 + settings.random_draws * bool(ranked)):
            plans.append((share, "random", draw, random_heads_by_layer(ranked, run.lm.n_heads, generator)))
    removed = [plan for *_, plan in plans]
    work, copies = partial(_accuracies, removed=removed, heads=heads), 2 * len(plans) / run.lm.n_layers
    arrays = _run(run, "items scored with heads removed", items, [removed, heads.tolist()], work, copies)
    rows = [
        (item.item_id, item.dataset, item.role, item.cluster, share, kind, draw, len(plan), accuracy)
        for item, accuracies in zip(items, arrays["accuracy"], strict=True)
        for (share, kind, draw, plan), accuracy in zip(plans, accuracies, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _accuracies(lm: LM, texts: list[Text], advance: Callable, removed: list[list[Head]], heads: torch.Tensor) -> Task[Records]:
    def accuracy(lm: LM, text: Text) -> list[float]:
        shares = ablate.removal_accuracy(lm, *text, removed, heads)
        advance()
        return shares

    return _first_positions(texts), {"accuracy": np.array((yield accuracy, texts))}


def _run(run: Session, task: str, items: Sequence[Item], settings: list, work: Callable, copies: float) -> dict[str, np.ndarray]:
    texts = [teacher_forced(run.lm, item, run.params.heads.span) for item in items]
    text_cost = partial(_cost, run.lm, copies=copies)
    return run.shards.run(task, SHARD_SIZE, texts, lambda text: len(text[0]), list, settings, work, text_cost)[1]


def _first_positions(texts: list[Text]) -> pd.DataFrame:
    return pd.DataFrame({"first": [first for _, first in texts]})


def _cost(lm: LM, texts: list[Text], copies: float) -> list[float]:
    # One pass, then the scored tokens in `copies` copies per layer.
    return [len(ids) + cost.window(lm, len(ids) - first, copies) for ids, first in texts]
