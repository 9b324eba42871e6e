"""The study's items as far as planning goes: how long their prompts are. Nothing is downloaded for it."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import Tokenizer

from wor.config.params import HubDataset, Params
from wor.data import build, frozen, items, tables
from wor.data.items import Item
from wor.errors import UserError
from wor.plan.work import PlannedItem
from wor.weights import identity_card

ASSUMED = 120  # tokens of a prompt that is not here to be counted; GSM8K's and StrategyQA's are shorter
TEMPLATE = 12  # tokens that a chat template adds, about

Count = Callable[[str], int]


def token_counter(params: Params, model: str, assumed: list[str]) -> Count:
    """Tokens of a text for this model: by its own tokenizer, or by the one that measures prompts, or by a rule of thumb."""
    for name in (model, params.control.length_model):
        folder = identity_card.find_folder(params.model_specs[name])
        if folder is not None:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    assumed.append(f"the tokenizer of {model} is not here: a token for each 4 characters")
    return lambda text: -(-len(text) // 4)


def build_if_available(params: Params, assumed: list[str]) -> tuple[list[Item], list[Item]] | None:
    """The items and the whole articles, or None where a source isn't here; ``assumed`` says why."""
    hub = {name: spec for name in params.datasets if isinstance(spec := params.spec(name), HubDataset)}
    if away := [name for name, spec in hub.items() if tables.cached_folder(spec) is None]:
        assumed.append(f"{', '.join(away)}: not here from the hub: {ASSUMED} tokens each item, of every dataset")
        return None
    count = token_counter(params, params.control.length_model, [])
    try:
        found = build.build_items(params, count)
        return [item for of in found.values() for item in of], build.full_length_controls(params, found)
    except UserError as error:
        assumed.append(f"not all items are here ({error.key}: {error.value}): {ASSUMED} tokens each, of every dataset")
        return None


def planned_items(
    params: Params, found: tuple[list[Item], list[Item]] | None, count: Count
) -> tuple[list[PlannedItem], list[PlannedItem]]:
    """The same in tokens of one model."""
    if found is None:
        return _from_lists(params)

    def measured(item: Item) -> PlannedItem:
        paraphrases = tuple(count(text) + TEMPLATE for text in item.paraphrases)
        return PlannedItem(item.role, item.split, item.dataset, count(item.prompt) + TEMPLATE, paraphrases)

    each, literal = found
    return [measured(item) for item in each], [measured(item) for item in literal]


def _from_lists(params: Params) -> tuple[list[PlannedItem], list[PlannedItem]]:
    found = []
    for name in params.datasets:
        spec = params.spec(name)
        for identifier in frozen.read_list(name).head(spec.n)["item_id"]:
            split = items.split_of(identifier, params.control.calibration_share)
            found.append(PlannedItem(spec.role, split, name, ASSUMED, (ASSUMED,) * params.paraphrase.n))
    if params.control.match == "none":
        return found, []
    controls = [item for item in found if item.role == "control" and item.split == "evaluation"]
    return found, controls[: params.nulls.literal_n]
