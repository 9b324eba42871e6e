"""From frozen lists to items: prompts, length-matched controls, paraphrases."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from wor.config.params import Params
from wor.data import datasets, frozen, items
from wor.data.items import Item, RawItem
from wor.data.paraphrase import make_paraphrases
from wor.errors import UserError

CountTokens = Callable[[str], int]


def build_items(params: Params, count: CountTokens) -> dict[str, list[Item]]:
    """Every item of the study, by dataset. ``count`` gives a prompt's length in tokens."""
    built = {name: _build_reasoning(name, params) for name in params.datasets_with_role("reasoning")}
    reasoning = [built[name] for name in params.datasets_with_role("reasoning")]
    for name in params.datasets_with_role("control"):
        built[name] = _build_controls(name, params, reasoning, count)
    return {name: built[name] for name in params.datasets}


def full_length_controls(params: Params, built: dict[str, list[Item]]) -> list[Item]:
    """The first evaluation controls once more with whole articles, not cut to length: what matching changes.

    The same articles, so that nothing but the length differs. None where the controls are not matched anyway.
    """
    if params.control.match == "none":
        return []
    controls = [item for name in params.datasets_with_role("control") for item in items.evaluation_items(built[name])]
    chosen = {item.item_id for item in items.round_robin(controls, params.nulls.literal_n)}
    whole = []
    for name in params.datasets_with_role("control"):
        for row, source in frozen.load_frozen_items(name, params.spec(name)):
            if row["item_id"] in chosen:
                whole.append(_make_item(name, row, source, source.text, source.text, params))
    return whole


def assemble_prompt(frame: str, body: str, instruction: str) -> str:
    """The words a user would type. Chat templates are the model's and are applied by the engine."""
    return "\n\n".join(part for part in (frame, body, instruction) if part)


def _build_reasoning(dataset: str, params: Params) -> list[Item]:
    rows = frozen.load_frozen_items(dataset, params.spec(dataset))
    return [_make_item(dataset, row, source, source.text, source.solution, params) for row, source in rows]


def _build_controls(dataset: str, params: Params, reasoning: list[list[Item]], count: CountTokens) -> list[Item]:
    """Articles, each cut to the length of the reasoning prompt that it is paired with.

    The k-th control of a split takes the reasoning datasets in turn, and their items in order, from the
    start again after the last. More controls therefore leave the pairs of the first ones as they are.
    """
    spec, built, seen = params.spec(dataset), [], {"calibration": 0, "evaluation": 0}
    for row, source in frozen.load_frozen_items(dataset, spec):
        split = items.split_of(row["item_id"], params.control.calibration_share)
        rank = seen[split]
        seen[split] += 1
        partners = reasoning[rank % len(reasoning)]
        partner = partners[(rank // len(reasoning)) % len(partners)]
        body = source.text
        if params.control.match == "length":
            body = match_length(source.text, count(partner.prompt), lambda text: count(_prompt(text, dataset, params)))
        built.append(_make_item(dataset, row, source, body, source.text, params, partner.item_id))
    for split, number in seen.items():
        if not number:
            remedy = f"Raise dataset_specs.{dataset}.n or move control.calibration_share ({params.control.calibration_share})"
            raise UserError(f"dataset_specs.{dataset}.n", f"{spec.n} gives no {split} control", remedy)
    return built


def match_length(text: str, target: int, count: CountTokens) -> str:
    """The leading sentences of ``text`` whose count comes nearest to ``target``; at least one sentence.

    Of two equally near the shorter is taken.
    """
    parts = datasets.sentences(text)
    candidates = [" ".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return min(candidates, key=lambda candidate: abs(count(candidate) - target))


def _prompt(body: str, dataset: str, params: Params) -> str:
    return assemble_prompt(params.prompt.frames[0], body, params.spec(dataset).instruction)


def _make_item(
    dataset: str, row: pd.Series, source: RawItem, body: str, gold: str, params: Params, paired_with: str = ""
) -> Item:
    spec = params.spec(dataset)
    others, shares, reason = make_paraphrases(
        row["item_id"],
        body,
        params.prompt.frames,
        lambda frame, text: assemble_prompt(frame, text, spec.instruction),
        params.paraphrase,
    )
    return Item(
        item_id=row["item_id"],
        dataset=dataset,
        role=spec.role,
        split=items.split_of(row["item_id"], params.control.calibration_share),
        cluster=f"{dataset}/{row['cluster']}",
        sha256=row["sha256"],
        prompt=_prompt(body, dataset, params),
        paraphrases=others,
        paraphrase_shares=shares,
        paraphrase_reason=reason,
        answer=source.answer,
        answer_kind=source.answer_kind,
        gold=gold,
        steps=gold.count("=") if source.answer_kind == "number" else None,
        paired_with=paired_with,
    )
