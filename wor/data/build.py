"""Make items from frozen lists: prompts, length-matched controls, paraphrases."""

from collections.abc import Callable
from typing import get_args

import pandas as pd

from wor.config.params import Params
from wor.data import datasets, frozen, items
from wor.data.items import Item, RawItem, Split
from wor.data.paraphrase import make_paraphrases
from wor.errors import UserError

CountTokens = Callable[[str], int]
SPLITS: tuple[Split, ...] = get_args(Split)


def build_items(params: Params, count: CountTokens) -> dict[str, list[Item]]:
    """Return every item of the study by dataset. ``count`` returns a prompt's length in tokens."""
    reasoning = {
        name: [_make_item(name, row, raw, raw.text, raw.solution, params) for row, raw in _load(name, params)]
        for name in params.datasets_with_role("reasoning")
    }
    partners = {split: _by_dataset(reasoning, split) for split in SPLITS}
    for split, datasets_of_split in partners.items():
        if not datasets_of_split:
            key, n = f"dataset_specs.{next(iter(reasoning))}.n", sum(map(len, reasoning.values()))
            raise UserError(key, f"{n} reasoning items give none of {split}", _remedy(key, params))
    controls = {name: _build_controls(name, params, partners, count) for name in params.datasets_with_role("control")}
    return {name: (reasoning | controls)[name] for name in params.datasets}


def full_length_controls(params: Params, built: dict[str, list[Item]]) -> list[Item]:
    """Return the first evaluation controls with whole articles, to show what matching changes.

    Only the length differs. The list is empty if the study does not match lengths.
    """
    if params.control.match == "none":
        return []
    controls = [item for name in params.datasets_with_role("control") for item in items.evaluation_items(built[name])]
    selected = {item.item_id for item in items.round_robin(controls, params.nulls.literal_n)}
    return [
        _make_item(name, row, raw, raw.text, raw.text, params)
        for name in params.datasets_with_role("control")
        for row, raw in _load(name, params)
        if row["item_id"] in selected
    ]


def assemble_prompt(frame: str, body: str, instruction: str) -> str:
    """Return the text that a user would type. The engine applies the model's chat template."""
    return "\n\n".join(part for part in (frame, body, instruction) if part)


def _load(dataset: str, params: Params) -> list[tuple[pd.Series, RawItem]]:
    return frozen.load_frozen_items(dataset, params.spec(dataset))


def _by_dataset(reasoning: dict[str, list[Item]], split: Split) -> list[list[Item]]:
    """Return the items of a split by dataset, without the datasets that have none."""
    groups = ([item for item in entries if item.split == split] for entries in reasoning.values())
    return [group for group in groups if group]


def _build_controls(dataset: str, params: Params, reasoning: dict[Split, list[list[Item]]], count: CountTokens) -> list[Item]:
    """Return articles, each cut to the length of its partner, a reasoning prompt of its split.

    Partners come from the datasets in turn, each in a cycle. A larger study keeps smaller pairings,
    unless a dataset without an item of the split then has one.
    """
    spec, frame, built = params.spec(dataset), params.prompt.frames[0], []
    seen = dict.fromkeys(SPLITS, 0)
    for row, raw in _load(dataset, params):
        split = _split(dataset, row, params)
        rank, groups = seen[split], reasoning[split]
        seen[split] += 1
        partners = groups[rank % len(groups)]
        partner = partners[(rank // len(groups)) % len(partners)]
        body = raw.text
        if params.control.match == "length":
            body = match_length(body, count(partner.prompt), lambda text: count(assemble_prompt(frame, text, spec.instruction)))
        built.append(_make_item(dataset, row, raw, body, raw.text, params, partner.item_id))
    for name, number in seen.items():
        if not number:
            key = f"dataset_specs.{dataset}.n"
            raise UserError(key, f"{spec.n} gives no {name} control", _remedy(key, params))
    return built


def _split(dataset: str, row: pd.Series, params: Params) -> Split:
    return items.split_of(f"{dataset}/{row['cluster']}", params.control.calibration_share)


def _remedy(key: str, params: Params) -> str:
    return f"Raise {key} or move control.calibration_share ({params.control.calibration_share}). A cluster is never split"


def match_length(text: str, target: int, count: CountTokens) -> str:
    """Return the leading sentences, one or more, nearest to ``target`` tokens. Fewer win a tie."""
    parts = datasets.sentences(text)
    candidates = [" ".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return min(candidates, key=lambda candidate: abs(count(candidate) - target))


def gold_continuation(item: Item) -> str:
    """Return a text that people wrote to follow the item's prompt; empty if there is none.

    For a reasoning item it is the worked solution. For a control it is the sentences of its article
    after those that the prompt shows. A prompt with the whole article leaves none.
    """
    if item.role == "reasoning":
        return item.gold
    parts, prompt = datasets.sentences(item.gold), items.normalise(item.prompt)
    shown = [end for end in range(len(parts) + 1) if items.normalise(" ".join(parts[:end])) in prompt]
    return " ".join(parts[max(shown) :])


def _make_item(dataset: str, row: pd.Series, raw: RawItem, body: str, gold: str, params: Params, paired_with: str = "") -> Item:
    spec, frames = params.spec(dataset), params.prompt.frames

    def assemble(frame: str, text: str) -> str:
        return assemble_prompt(frame, text, spec.instruction)

    paraphrases, reason = make_paraphrases(row["item_id"], body, frames, assemble, params.paraphrase)
    return Item(
        item_id=row["item_id"],
        dataset=dataset,
        role=spec.role,
        split=_split(dataset, row, params),
        cluster=f"{dataset}/{row['cluster']}",
        sha256=row["sha256"],
        prompt=assemble(frames[0], body),
        paraphrases=[paraphrase.text for paraphrase in paraphrases],
        paraphrase_shares=[paraphrase.share for paraphrase in paraphrases],
        body_shares=[paraphrase.body_share for paraphrase in paraphrases],
        moved_shares=[paraphrase.moved_share for paraphrase in paraphrases],
        paraphrase_reason=reason,
        answer=raw.answer,
        answer_kind=raw.answer_kind,
        gold=gold,
        steps=gold.count("=") if raw.answer_kind == "number" else None,
        paired_with=paired_with,
        closing=spec.closing,
        no_solution=datasets.why_no_solutions(spec) if spec.role == "reasoning" else "",
    )
