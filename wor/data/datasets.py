"""Items as their sources give them, by key. Nothing is drawn at random here: a frozen list says which."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from wor import storage
from wor.config.params import DatasetSpec, HubDataset, JsonLines, ReasoningGym, WheelArticles
from wor.data import fields, syllogisms, tables
from wor.data.items import RawItem
from wor.weights import wheels

_POOL = 4000  # reasoning-gym items that a list may draw from
_SENTENCE_END = re.compile(r"[.!?][\"”’)]*(\s+)(?=[\"“‘(]?[A-Z0-9])")


def list_keys(spec: DatasetSpec) -> list[str]:
    """Every key that a new frozen list may draw from, in the source's order. Of controls: texts of three sentences or more."""
    if isinstance(spec, ReasoningGym):
        usable = [str(index) for index in range(_POOL)]
        return [key for key in usable if _key_is_right(spec, int(key))]
    if isinstance(spec, WheelArticles):
        return [title for title, text in _articles(spec).items() if len(sentences(text)) >= 3]
    table = tables.read_table(spec)
    index = table.index(fields.field_map(spec).key)
    if spec.role == "reasoning":
        return list(index)
    texts = {key: fields.raw_item(key, table.rows[row], spec, table.origin).text for key, row in index.items()}
    return [key for key, text in texts.items() if len(sentences(text)) >= 3]


def fetch_items(spec: DatasetSpec, wanted: list[str]) -> dict[str, RawItem]:
    """The items of ``wanted``, by key; a key that the source no longer has is absent from the result."""
    if isinstance(spec, ReasoningGym):
        return {key: _from_reasoning_gym(spec, int(key)) for key in wanted}
    if isinstance(spec, WheelArticles):
        articles = _articles(spec)
        return {key: RawItem(key=key, text=articles[key], cluster=key) for key in wanted if key in articles}
    table = tables.read_table(spec)
    index = table.index(fields.field_map(spec).key)
    return {key: fields.raw_item(key, table.rows[index[key]], spec, table.origin) for key in wanted if key in index}


def local_files(spec: DatasetSpec) -> list[Path]:
    """The files of a dataset that are the user's own, and so may change under a study."""
    return [tables.local_file(spec)] if isinstance(spec, JsonLines) else []


def provenance(spec: DatasetSpec) -> dict[str, str] | None:
    """Which repository of the hub the items came from: the revision that was asked for, and the commit that it was."""
    if not isinstance(spec, HubDataset):
        return None
    return {"repo": spec.repo, "revision": spec.revision, "commit": tables.read_table(spec).commit}


def sentences(text: str) -> list[str]:
    """Split at sentence ends. Errs after abbreviations, in both directions alike for every item."""
    text = text.strip()
    ends = list(_SENTENCE_END.finditer(text))
    starts = [0, *(match.end() for match in ends)]
    stops = [*(match.start(1) for match in ends), len(text)]
    return [text[start:stop] for start, stop in zip(starts, stops, strict=True)]


@functools.cache
def _gym(task: str, seed: int):
    import reasoning_gym

    return reasoning_gym.create_dataset(task, size=_POOL, seed=seed)


def _from_reasoning_gym(spec: ReasoningGym, index: int) -> RawItem:
    dataset = _gym(spec.task, spec.seed)
    entry = dataset[index]
    about = entry["metadata"]
    if spec.task == "gsm_symbolic":
        return RawItem(
            key=str(index),
            text=entry["question"].removesuffix(" Give the result as your final answer. Do not include units."),
            answer=entry["answer"],
            solution=about["answer_cot"].split("\n####")[0],
            answer_kind="number",
            cluster=f"template-{dataset.task_indices[index]}",
        )
    forms = [syllogisms.parse(about[part])[0] for part in ("premise1", "premise2", "conclusion")]
    holds = entry["answer"] == "Yes"
    verdict = "it follows" if holds else "it does not follow"
    return RawItem(
        key=str(index),
        text=entry["question"].removesuffix("\n(Answer Yes or No)"),
        answer=entry["answer"].lower(),
        solution=f"From '{about['premise1']}' and '{about['premise2']}', {verdict} that {about['conclusion']}.",
        answer_kind="yesno",
        cluster=f"{about['type']}-{''.join(forms)}",
    )


def _key_is_right(spec: ReasoningGym, index: int) -> bool:
    """Whether the generator's own answer stands up; see syllogisms."""
    if spec.task != "syllogism":
        return True
    entry = _gym(spec.task, spec.seed)[index]
    about = entry["metadata"]
    truth = syllogisms.follows([about["premise1"], about["premise2"]], about["conclusion"])
    return (entry["answer"] == "Yes") == truth


@functools.cache
def _articles(spec: WheelArticles) -> dict[str, str]:
    path = wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
    return {title: entry["extract"] for title, entry in storage.read_json(path).items()}
