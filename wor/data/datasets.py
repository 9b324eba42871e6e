"""Read items from their sources, by key. Frozen lists say which keys a study uses."""

import functools
import re
from pathlib import Path

from wor import storage
from wor.config.params import DatasetSpec, HubDataset, JsonLines, ReasoningGym, WheelArticles
from wor.data import fields, syllogisms, tables
from wor.data.items import RawItem
from wor.weights import wheels

_POOL = 4000  # reasoning-gym items to draw a list from
_SENTENCE_END = re.compile(r"[.!?][\"”’)]*(\s+)(?=[\"“‘(]?[A-Z0-9])")


def list_keys(spec: DatasetSpec) -> list[str]:
    """Return all keys for a new list, in source order. Controls have three sentences or more."""
    if isinstance(spec, ReasoningGym):
        return [str(index) for index in range(_POOL) if _answer_is_right(spec, index)]
    if isinstance(spec, WheelArticles):
        return [title for title, text in _articles(spec).items() if len(sentences(text)) >= 3]
    table = tables.read_table(spec)
    index = table.index(fields.field_map(spec).key)
    if spec.role == "reasoning":
        return list(index)
    texts = {key: table.item(key, row, spec).text for key, row in index.items()}
    return [key for key, text in texts.items() if len(sentences(text)) >= 3]


def fetch_items(spec: DatasetSpec, keys: list[str]) -> dict[str, RawItem]:
    """Return items by key. Keys that the source lacks are absent from the result."""
    if isinstance(spec, ReasoningGym):
        return {key: _from_reasoning_gym(spec, int(key)) for key in keys}
    if isinstance(spec, WheelArticles):
        articles = _articles(spec)
        return {key: RawItem(key=key, text=articles[key], cluster=key) for key in keys if key in articles}
    table = tables.read_table(spec)
    index = table.index(fields.field_map(spec).key)
    return {key: table.item(key, index[key], spec) for key in keys if key in index}


def local_files(spec: DatasetSpec) -> list[Path]:
    """Return the dataset's files on this machine, which the user may change between stages."""
    return [tables.local_file(spec)] if isinstance(spec, JsonLines) else []


def provenance(spec: DatasetSpec) -> dict[str, str] | None:
    """Return repository, requested revision and commit of a dataset of the hub, else None."""
    if not isinstance(spec, HubDataset):
        return None
    return {"repo": spec.repo, "revision": spec.revision, "commit": tables.read_table(spec).commit}


def why_no_solutions(spec: DatasetSpec) -> str:
    """Return why a dataset's gold texts are no worked solutions; empty where they are."""
    if isinstance(spec, ReasoningGym) and spec.task == "syllogism":
        return "no worked solution: a syllogism's gold text repeats its statements"
    if isinstance(spec, (JsonLines, HubDataset)) and spec.format == "strategyqa":
        return "no worked solution: StrategyQA's gold text lists facts"
    return ""


def sentences(text: str) -> list[str]:
    """Split ``text`` at sentence ends. An abbreviation may count as an end."""
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
    metadata = entry["metadata"]
    if spec.task == "gsm_symbolic":
        return RawItem(
            key=str(index),
            text=entry["question"].removesuffix(" Give the result as your final answer. Do not include units."),
            answer=entry["answer"],
            solution=metadata["answer_cot"].split("\n####")[0],
            answer_kind="number",
            cluster=f"template-{dataset.task_indices[index]}",
        )
    forms = [syllogisms.parse(metadata[part])[0] for part in ("premise1", "premise2", "conclusion")]
    verdict = "it follows" if entry["answer"] == "Yes" else "it does not follow"
    return RawItem(
        key=str(index),
        text=entry["question"].removesuffix("\n(Answer Yes or No)"),
        answer=entry["answer"].lower(),
        solution=f"From '{metadata['premise1']}' and '{metadata['premise2']}', {verdict} that {metadata['conclusion']}.",
        answer_kind="yesno",
        cluster=f"{metadata['type']}-{''.join(forms)}",
    )


def _answer_is_right(spec: ReasoningGym, index: int) -> bool:
    """Return whether the generator's answer is right. See syllogisms."""
    if spec.task != "syllogism":
        return True
    entry = _gym(spec.task, spec.seed)[index]
    premise1, premise2, conclusion = (entry["metadata"][part] for part in ("premise1", "premise2", "conclusion"))
    return (entry["answer"] == "Yes") == syllogisms.follows([premise1, premise2], conclusion)


@functools.cache
def _articles(spec: WheelArticles) -> dict[str, str]:
    path = wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
    return {title: entry["extract"] for title, entry in storage.read_json(path).items()}
