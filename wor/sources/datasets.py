"""Items as their sources give them, by key. Nothing is drawn at random here: a frozen list says which."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError
from wor.items import Source
from wor.params import DatasetSpec, JsonLines, ReasoningGym, WheelArticles
from wor.sources import syllogisms, wheels

_POOL = 4000  # reasoning-gym items that a list may draw from
_SENTENCE_END = re.compile(r"[.!?][\"”’)]*(\s+)(?=[\"“‘(]?[A-Z0-9])")


def keys(spec: DatasetSpec) -> list[str]:
    """Every key that a new frozen list may draw from, in the source's order."""
    if isinstance(spec, ReasoningGym):
        usable = [str(index) for index in range(_POOL)]
        return [key for key in usable if _key_is_right(spec, int(key))]
    if isinstance(spec, WheelArticles):
        return [title for title, text in _articles(spec).items() if len(sentences(text)) >= 3]
    return list(_rows(spec))


def fetch(spec: DatasetSpec, wanted: list[str]) -> dict[str, Source]:
    """The items of ``wanted``, by key; a key that the source no longer has is absent from the result."""
    if isinstance(spec, ReasoningGym):
        return {key: _from_reasoning_gym(spec, int(key)) for key in wanted}
    if isinstance(spec, WheelArticles):
        articles = _articles(spec)
        return {key: Source(key=key, text=articles[key], cluster=key) for key in wanted if key in articles}
    rows = _rows(spec)
    parse = {"gsm8k": _from_gsm8k, "strategyqa": _from_strategyqa}[spec.format]
    return {key: parse(key, rows[key], spec.path) for key in wanted if key in rows}


def local_files(spec: DatasetSpec) -> list[Path]:
    """The files of a dataset that are the user's own, and so may change under a study."""
    return [_own_file(spec)] if isinstance(spec, JsonLines) else []


def _own_file(spec: JsonLines) -> Path:
    path = paths.project() / spec.path
    if not path.is_file():
        raise UserError("dataset_specs.path", f"{spec.path!r} not found", f"Put your copy of the {spec.format} file there")
    return path


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


def _from_reasoning_gym(spec: ReasoningGym, index: int) -> Source:
    dataset = _gym(spec.task, spec.seed)
    entry = dataset[index]
    about = entry["metadata"]
    if spec.task == "gsm_symbolic":
        return Source(
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
    return Source(
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
    path = wheels.find(spec.package, spec.version, spec.file, spec.sha256)
    return {title: entry["extract"] for title, entry in storage.read_json(path).items()}


@functools.cache
def _rows(spec: JsonLines) -> dict[str, dict]:
    path = _own_file(spec)
    try:
        rows = storage.read_jsonl(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(path, f"not JSON lines ({error})", "Take a fresh copy of the file") from None
    if spec.format == "strategyqa":
        return {str(row.get("qid")): row for row in rows}
    return {str(index): row for index, row in enumerate(rows)}


def _from_gsm8k(key: str, row: dict, path: str) -> Source:
    _require(row, ("question", "answer"), key, path)
    solution, _, answer = row["answer"].rpartition("####")
    return Source(
        key=key,
        text=row["question"],
        answer=answer.strip().replace(",", ""),
        solution=re.sub(r"<<.*?>>", "", solution).strip(),
        answer_kind="number",
        cluster=key,
    )


def _from_strategyqa(key: str, row: dict, path: str) -> Source:
    _require(row, ("qid", "question", "answer", "facts"), key, path)
    return Source(
        key=key,
        text=row["question"],
        answer="yes" if row["answer"] else "no",
        solution=" ".join(row["facts"]),
        answer_kind="yesno",
        cluster=key,
    )


def _require(row: dict, fields: tuple[str, ...], key: str, path: str) -> None:
    missing = [field for field in fields if field not in row]
    if missing:
        raise UserError(path, f"item {key} lacks {', '.join(missing)}", "Check dataset_specs.format against the file")
