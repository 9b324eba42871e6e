"""Items for plans, without a text."""

from __future__ import annotations

from itertools import count

from wor.plan.work import PlannedItem

_numbers = count()


def planned_item(role: str, split: str, dataset: str, tokens: int, paraphrase_tokens: tuple[int, ...] = ()) -> PlannedItem:
    """Return an item with an ID of its own and a gold text."""
    return PlannedItem.model_construct(
        item_id=f"{dataset}/{next(_numbers)}",
        role=role,
        split=split,
        dataset=dataset,
        prompt="",
        gold="gold " * 100,
        tokens=tokens,
        paraphrase_tokens=paraphrase_tokens,
    )
