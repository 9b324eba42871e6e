"""Check that every text of a study fits into the context of every model, before a model runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wor.config.params import Params
from wor.data import build
from wor.data.items import Item, evaluation_items
from wor.errors import UserError
from wor.pipeline import selection


@dataclass(frozen=True)
class Reader:
    """A model, as far as lengths go. ``count`` returns the tokens of a prompt as it is asked."""

    label: str
    context: int
    count: Callable[[str], int]


def require_fit(params: Params, readers: Sequence[Reader], built: Mapping[str, Sequence[Item]]) -> None:
    """Raise UserError for the first text of a stage that is longer than a model's context.

    Each prompt counts with all that may follow it. ``built`` are the study's items by dataset.
    """
    items, room, span = [item for group in built.values() for item in group], params.max_new_tokens, params.heads.span
    held_out = [*selection.calibration_controls(items), *selection.reference_reasoning(items, params)]
    scored = [item for group in selection.heads_items(items, params).values() for item in group]
    copied = build.assemble_prompt(params.prompt.frames[0], "", params.designs.copy_instruction)
    texts: list[tuple[Item | None, list[str], int, str]] = [
        (None, [copied], 2 * room, f"max_new_tokens ({room})")
    ]  # a text, and its copy
    texts += [
        (item, [item.prompt, *item.paraphrases], room, f"max_new_tokens ({room})")
        for item in [*held_out, *evaluation_items(items)]
    ]
    texts += [(item, [item.prompt], span, f"heads.span ({span})") for item in scored]
    for reader in readers:
        for item, prompts, following, setting in texts:
            tokens = max(map(reader.count, prompts))
            if tokens + following > reader.context:
                name = item.item_id if item else "designs.copy_instruction"
                value = f"{tokens} tokens, and up to {following} follow. The context of {reader.label} holds {reader.context}"
                lower = _leave_out(item, built) if item else "Lower"
                raise UserError(name, value, f"{lower} {setting}, or take a model with a longer context")


def _leave_out(item: Item, built: Mapping[str, Sequence[Item]]) -> str:
    row = [other.item_id for other in built[item.dataset]].index(item.item_id)
    return f"Set dataset_specs.{item.dataset}.n to {row}, which leaves it out, lower" if row else "Lower"


def fitting_controls(params: Params, readers: Sequence[Reader], controls: Sequence[Item]) -> list[Item]:
    """Return the full-length controls that fit into every model's context.

    Raises UserError if there are some, and none fits.
    """

    def fits(item: Item) -> bool:
        prompts = (item.prompt, *item.paraphrases)
        return all(max(map(reader.count, prompts)) + params.max_new_tokens <= reader.context for reader in readers)

    fitting = [item for item in controls if fits(item)]
    if controls and not fitting:
        shortest = min(readers, key=lambda reader: reader.context)
        value = f"none of {len(controls)} whole articles fits into the context of {shortest.label} ({shortest.context})"
        remedy = "Raise it, to have shorter ones among them, lower max_new_tokens, or take a model with a longer context"
        raise UserError("nulls.literal_n", value, remedy)
    return fitting
