"""Items for plans, without a text."""

from __future__ import annotations

from itertools import count

from wor.plan.work import PlannedItem

_numbers = count()


def planned_item(role: str, split: str, dataset: str, tokens: int, paraphrase_tokens: tuple[int, ...] = ()) -> PlannedItem:
    """Return an item with an ID of its own and a gold text."""
    return PlannedItem.model_construct(
        item_id=f"{dataset}/{next(_numbers)}",
        prompt="",
        role=role,
        split=split,
        dataset=dataset,
        gold="gold",
        tokens=tokens,
        paraphrase_tokens=paraphrase_tokens,
    )
