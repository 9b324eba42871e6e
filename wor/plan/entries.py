"""Build the study's items with their lengths in tokens, without a download."""

from collections.abc import Callable

from wor.config.params import HubDataset, Params
from wor.data import build, frozen, tables
from wor.data.items import Item, evaluation_items, round_robin, split_of
from wor.engine.load import read_tokenizer
from wor.errors import UserError
from wor.plan.work import PlannedItem
from wor.weights import folders

ASSUMED = 120  # tokens of a prompt that is not on this machine; those of GSM8K and StrategyQA are shorter
UNKNOWN = " ".join(["unknown"] * ASSUMED)  # a gold text that is long enough for every stage
TEMPLATE = 12  # tokens that a chat template adds, about

CountTokens = Callable[[str], int]


def token_counter(params: Params, model: str, assumed: list[str]) -> CountTokens:
    """Return a token counter: the model's, ``control.length_model``'s, or a rule of thumb."""
    for name in (model, params.control.length_model):
        spec = params.model_specs[name]
        folder = folders.find_folder(spec)
        if folder is not None:
            return read_tokenizer(folder, params.prompt.template, spec.begin_token, spec.chat_template_kwargs).count
    assumed.append(f"one token per 4 characters, as the tokenizer of {model} is not on this machine")
    return lambda text: -(-len(text) // 4)


def build_if_available(params: Params, assumed: list[str]) -> tuple[list[Item], list[Item]] | None:
    """Return items and full-length controls. Without a source: None, and why in ``assumed``."""
    hub = {name: spec for name in params.datasets if isinstance(spec := params.spec(name), HubDataset)}
    if missing := [name for name, spec in hub.items() if tables.cached_folder(spec) is None]:
        assumed.append(f"{ASSUMED} tokens per item of every dataset, as {', '.join(missing)} is not downloaded")
        return None
    count = token_counter(params, params.control.length_model, [])
    try:
        built = build.build_items(params, count)
        return [item for items in built.values() for item in items], build.full_length_controls(params, built)
    except UserError as error:
        assumed.append(f"{ASSUMED} tokens per item of every dataset, as items are missing ({error.key}: {error.value})")
        return None


def planned_items(
    params: Params, built: tuple[list[Item], list[Item]] | None, count: CountTokens
) -> tuple[list[PlannedItem], list[PlannedItem]]:
    """Return items and full-length controls with token counts, assumed if ``built`` is None."""
    if built is None:
        return _items_of_lists(params)

    def measure(item: Item) -> PlannedItem:
        paraphrase_tokens = tuple(count(text) + TEMPLATE for text in item.paraphrases)
        return PlannedItem(**item.model_dump(), tokens=count(item.prompt) + TEMPLATE, paraphrase_tokens=paraphrase_tokens)

    items, full_length = built
    return [measure(item) for item in items], [measure(item) for item in full_length]


def _items_of_lists(params: Params) -> tuple[list[PlannedItem], list[PlannedItem]]:
    items = [
        PlannedItem.model_construct(  # no more is needed of an item that is not on this machine
            item_id=row["item_id"],
            dataset=name,
            role=params.spec(name).role,
            split=split_of(f"{name}/{row['cluster']}", params.control.calibration_share),
            prompt="",
            gold=UNKNOWN,
            tokens=ASSUMED,
            paraphrase_tokens=(ASSUMED,) * params.paraphrase.n,
        )
        for name in params.datasets
        for _, row in frozen.read_list(name).head(params.spec(name).n).iterrows()
    ]
    controls = [item for item in evaluation_items(items) if item.role == "control"]
    return items, [] if params.control.match == "none" else round_robin(controls, params.nulls.literal_n)
