"""Rank attention heads and score gold text with heads removed, for stage `heads`."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from wor.data.items import Item
from wor.engine import ablate, cost
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.pipeline.selection import ROLES
from wor.pipeline.session import Session
from wor.pipeline.shards import Records

SHARD_SIZE = 4  # items that a killed stage may lose
MIN_CONTEXT = 8  # tokens of a control text before the scored ones

Head = tuple[int, int]  # layer, head
Text = tuple[list[int], int]  # token IDs, first scored position


def teacher_forced(lm: LM, item: Item, span: int) -> Text:
    """Return token IDs and the first scored position of a text that the model did not write.

    For a reasoning item: the rendered prompt, then the first ``span`` tokens of its gold solution.
    For a control: the article, scored from its middle for ``span`` tokens.
    """
    gold = lm.encode(item.gold)
    if item.role == "reasoning":
        prompt = lm.encode_prompt(item.prompt, span, item.item_id)
        return prompt + gold[:span], len(prompt)
    first = max(MIN_CONTEXT, min(len(gold) // 2, len(gold) - span))
    return gold[: first + span], first


def rank_heads(run: Session, items: Sequence[Item], heads: torch.Tensor) -> pd.DataFrame:
    """Return each head's mean ablation KL over calibration items, by role.

    ``effect`` is reasoning minus control. ``heads``, [L, H, Dh], replaces a removed head's output.
    """
    lm = run.lm
    effect = _run(run, "items for ranking heads", items, heads.tolist(), partial(_effects, heads=heads), lm.n_heads)["effect"]
    roles = np.array([item.role for item in items])
    layer, head = np.divmod(np.arange(lm.n_layers * lm.n_heads), lm.n_heads)
    means = {role: effect[roles == role].mean(0).ravel() for role in ROLES}
    table = pd.DataFrame({"layer": layer, "head": head, **means})
    table["effect"] = table["reasoning"] - table["control"]
    return table


def _effects(lm: LM, texts: list[Text], advance: Callable, heads: torch.Tensor) -> Records:
    def effect(lm: LM, text: Text) -> np.ndarray:
        ids, first = text
        clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
        return ablate.head_kl(lm, clean, heads).mean(-1).cpu().double().numpy()

    return _first_positions(texts), {"effect": np.stack(map_items(lm, effect, texts, advance))}


def top_heads(effect: np.ndarray, share: float) -> list[Head]:
    """Return the ``share`` of heads with the largest ``effect`` [L, H]. The earlier wins a tie."""
    count = round(share * effect.size)
    order = np.argsort(-effect, axis=None, kind="stable")[:count]
    return [(int(layer), int(head)) for layer, head in zip(*np.unravel_index(order, effect.shape), strict=True)]


def random_heads_by_layer(selected: list[Head], n_heads: int, generator: np.random.Generator) -> list[Head]:
    """Draw as many heads in each layer as ``selected`` has there, at random without replacement."""
    counts = Counter(layer for layer, _ in selected)
    return [
        (layer, int(head)) for layer in sorted(counts) for head in sorted(generator.choice(n_heads, counts[layer], replace=False))
    ]


def score_without_heads(run: Session, items: Sequence[Item], effect: np.ndarray, heads: torch.Tensor) -> pd.DataFrame:
    """Return each item's teacher-forced accuracy with the same ranked or random heads removed."""
    settings, generator = run.params.heads, np.random.default_rng(run.params.seed)
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
        (item.item_id, item.dataset, item.role, share, kind, draw, len(plan), accuracy)
        for item, accuracies in zip(items, arrays["accuracy"], strict=True)
        for (share, kind, draw, plan), accuracy in zip(plans, accuracies, strict=True)
    ]
    columns = ["item_id", "dataset", "role", "share", "kind", "draw", "n_heads", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def _accuracies(lm: LM, texts: list[Text], advance: Callable, removed: list[list[Head]], heads: torch.Tensor) -> Records:
    accuracies = map_items(lm, lambda lm, text: ablate.removal_accuracy(lm, *text, removed, heads), texts, advance)
    return _first_positions(texts), {"accuracy": np.array(accuracies)}


def _run(run: Session, task: str, items: Sequence[Item], settings: list, work: Callable, copies: float) -> dict[str, np.ndarray]:
    texts = [teacher_forced(run.lm, item, run.params.heads.span) for item in items]
    text_cost = partial(_cost, run.lm, copies=copies)
    return run.shards.run(task, SHARD_SIZE, texts, lambda text: len(text[0]), list, settings, work, text_cost)[1]


def _first_positions(texts: list[Text]) -> pd.DataFrame:
    return pd.DataFrame({"first": [first for _, first in texts]})


def _cost(lm: LM, texts: list[Text], copies: float) -> list[float]:
    # One pass, then the scored tokens in `copies` copies per layer.
    return [len(ids) + cost.window(lm, len(ids) - first, copies) for ids, first in texts]
