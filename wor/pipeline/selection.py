"""Select the items of each stage, in its order. Stages and `wor plan` call the same functions.

``items`` are all items of the study, in the order of ``params.datasets``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wor import paths
from wor.config.params import ROLES, Params
from wor.data.build import gold_continuation
from wor.data.items import AnyItem, Item, evaluation_items, read_items, round_robin

if TYPE_CHECKING:  # stage ids needs no engine
    from wor.engine.twin import NullModel


def read_study_items(params: Params) -> list[Item]:
    """Return all items that stage `ids` wrote."""
    return [item for dataset in params.datasets for item in read_items(paths.items(dataset))]


def calibration_controls(items: Sequence[AnyItem]) -> list[AnyItem]:
    """Return the controls that the reference is made from, and never scored."""
    return [item for item in items if item.role == "control" and item.split == "calibration"]


def reference_reasoning(items: Sequence[AnyItem], params: Params) -> list[AnyItem]:
    """Return the first held-out reasoning items of the reference, the datasets in turn."""
    held_out = [item for item in items if item.role == "reasoning" and item.split == "calibration"]
    return round_robin(held_out, params.reference.reasoning_n)


def activations_items(items: Sequence[AnyItem], dataset: str) -> list[AnyItem]:
    """Return the evaluation items of one dataset."""
    return evaluation_items(item for item in items if item.dataset == dataset)


def stand_ins_items(items: Sequence[AnyItem], params: Params) -> frozenset[str]:
    """Return the IDs of the items, of one dataset and side, on which stand-ins are exchanged."""
    return frozenset(item.item_id for item in items[: params.stand_ins.n])


def temperatures_items(items: Sequence[AnyItem], params: Params) -> list[AnyItem]:
    """Return the first evaluation items of each role. Each is generated at every temperature."""
    return _first_of_each_role(items, params.robustness.n)


def null_models(params: Params) -> dict[NullModel, bool]:
    """Return the null models, and whether each one's layers are ablated, for APL."""
    nulls = params.nulls
    return {(kind, params.seed + draw): draw < nulls.apl_seeds for kind in nulls.kinds for draw in range(nulls.seeds)}


def null_items(items: Sequence[AnyItem], params: Params) -> list[AnyItem]:
    """Return the first evaluation items of each role for the null models."""
    return _first_of_each_role(items, params.nulls.n)


def _first_of_each_role(items: Sequence[AnyItem], n: int) -> list[AnyItem]:
    """Return the first ``n`` evaluation items of each role, the datasets in turn."""
    by_role = ([item for item in evaluation_items(items) if item.role == role] for role in ROLES)
    return [item for group in by_role for item in round_robin(group, n)]


def designs_items(items: Sequence[AnyItem], params: Params) -> dict[str, list[AnyItem]]:
    """Return the first evaluation items of each design, the datasets in turn.

    ``own``: reasoning items, whose continuation is also copied. ``gold``: items of both roles with
    enough gold text, reasoning first.
    """
    evaluation, n = evaluation_items(items), params.designs.n
    by_role = {role: [item for item in evaluation if item.role == role] for role in ROLES}
    with_gold = {role: [item for item in group if not why_no_gold(item, params)] for role, group in by_role.items()}
    return {
        "own": round_robin(by_role["reasoning"], n),
        "gold": [item for role in ROLES for item in round_robin(with_gold[role], n)],
    }


def gold_exclusions(items: Sequence[AnyItem], params: Params) -> dict[str, int]:
    """Return the number of evaluation items without enough gold text, by role and reason."""
    reasons = ((item.role, why_no_gold(item, params)) for item in evaluation_items(items))
    return dict(Counter(f"{role}: {reason}" for role, reason in reasons if reason))


def why_no_gold(item: Item, params: Params) -> str:
    """Return why an item has no gold text of `gold_length` words; empty where it has.

    So many words have as many tokens at least, with any tokenizer. All models read the same items.
    """
    if item.no_solution:
        return item.no_solution
    length = gold_length(params)
    return "" if len(gold_continuation(item).split()) >= length else f"gold text of fewer than {length} words"


def gold_length(params: Params) -> int:
    """Return the number of tokens of gold text that are read: as many as a window has at most."""
    return min(params.window.size, params.max_new_tokens)


def heads_items(items: Sequence[AnyItem], params: Params) -> dict[str, list[AnyItem]]:
    """Return the first items of each role that have a gold continuation, the datasets in turn.

    Those of ``calibration`` rank heads, which are removed on those of ``evaluation``. No cluster is
    in both, as no split divides one. Both lists are empty if one would lack a role.
    """

    def first(split: str, n: int) -> list[AnyItem]:
        usable = [item for item in items if item.split == split and gold_continuation(item)]
        return [item for role in ROLES for item in round_robin([item for item in usable if item.role == role], n)]

    lists = {"calibration": first("calibration", params.heads.n_rank), "evaluation": first("evaluation", params.heads.n_test)}
    complete = all(any(item.role == role for item in group) for group in lists.values() for role in ROLES)
    return lists if complete else {split: [] for split in lists}


def unused_by_heads(items: Sequence[AnyItem]) -> dict[str, int]:
    """Count the items that can neither rank heads nor be scored, by role and reason."""
    lacks = {"reasoning": "no worked solution", "control": "the prompt shows the whole article"}
    return dict(Counter(f"{item.role}: {lacks[item.role]}" for item in items if not gold_continuation(item)))
