"""Select the items of each stage, in its order. Stages and `wor plan` call the same functions.

``items`` are all items of the study, in the order of ``params.datasets``.
"""

from collections.abc import Sequence

from wor import paths
from wor.config.params import Params
from wor.data.items import AnyItem, Item, evaluation_items, read_items, round_robin

ROLES = ("reasoning", "control")


def read_study_items(params: Params) -> list[Item]:
    """Return all items that stage `ids` wrote."""
    return [item for dataset in params.datasets for item in read_items(paths.items(dataset))]


def calibration_controls(items: Sequence[AnyItem]) -> list[AnyItem]:
    """Return the controls that the reference is made from, and never scored."""
    return [item for item in items if item.role == "control" and item.split == "calibration"]


def activations_items(items: Sequence[AnyItem], dataset: str) -> list[AnyItem]:
    """Return the evaluation items of one dataset."""
    return evaluation_items(item for item in items if item.dataset == dataset)


def temperatures_items(items: Sequence[AnyItem], params: Params) -> list[AnyItem]:
    """Return the first evaluation items of each dataset. Each is generated at every temperature."""
    return [item for dataset in params.datasets for item in activations_items(items, dataset)[: params.robustness.n]]


def twin_items(items: Sequence[AnyItem], params: Params) -> list[AnyItem]:
    """Return the first evaluation items of each role for the random twin, the datasets in turn."""
    by_role = ([item for item in evaluation_items(items) if item.role == role] for role in ROLES)
    return [item for group in by_role for item in round_robin(group, params.nulls.twin_n)]


def heads_items(items: Sequence[AnyItem], params: Params) -> dict[str, list[AnyItem]]:
    """Return the first items of each role that have a gold text, the datasets in turn, by split.

    Heads are ranked on the split ``calibration`` and removed on the split ``evaluation``.
    """

    def first(split: str, role: str, n: int) -> list[AnyItem]:
        return round_robin([item for item in items if item.role == role and item.split == split and item.gold], n)

    sizes = {"calibration": params.heads.n_rank, "evaluation": params.heads.n_test}
    return {split: [item for role in ROLES for item in first(split, role, n)] for split, n in sizes.items()}
