"""What an item is, and what makes it the same item: its ID, its content hash, its side of the split."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from wor import storage
from wor.config.params import AnswerKind


class RawItem(BaseModel):
    """An item as its source gives it, before it becomes a prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    text: str
    answer: str = ""
    solution: str = ""
    answer_kind: AnswerKind = "none"
    cluster: str = ""


class Item(BaseModel):
    """One frozen item, ready to be asked.

    ``gold`` is the text that head removal is scored on; ``steps`` the results that a worked solution states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    dataset: str
    role: Literal["reasoning", "control"]
    split: Literal["calibration", "evaluation"]
    cluster: str
    sha256: str
    prompt: str
    paraphrases: list[str]
    paraphrase_shares: list[float]
    paraphrase_reason: str = ""
    answer: str
    answer_kind: AnswerKind
    gold: str
    steps: int | None = None
    paired_with: str = ""


def item_id(dataset: str, key: str) -> str:
    return f"{dataset}/{key}"


def normalise(text: str) -> str:
    """NFC, with every run of white space as one space: what two copies of an item must share."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def content_hash(source: RawItem) -> str:
    """sha256 over the normalised text and answer, so that a changed label is a changed item too."""
    return hashlib.sha256(f"{normalise(source.text)}\x1f{normalise(source.answer)}".encode()).hexdigest()


def hash_to_unit(*key: object) -> float:
    """A number in [0, 1) that depends on ``key`` alone: the same on every machine, in any order."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(identifier: str, calibration_share: float) -> Literal["calibration", "evaluation"]:
    """Which side an item is on: a hash of the ID against the share, so a study's size never moves an item."""
    return "calibration" if hash_to_unit("split", identifier) < calibration_share else "evaluation"


def evaluation_items(items: Iterable[Item]) -> list[Item]:
    """The items that are scored: every reasoning item, and the controls that calibrate nothing."""
    return [item for item in items if item.role == "reasoning" or item.split == "evaluation"]


def round_robin(items: Iterable[Item], n: int) -> list[Item]:
    """The first ``n``, one of each dataset in turn."""
    by_dataset: dict[str, list[Item]] = {}
    for item in items:
        by_dataset.setdefault(item.dataset, []).append(item)
    most = max(map(len, by_dataset.values()), default=0)
    return [group[index] for index in range(most) for group in by_dataset.values() if index < len(group)][:n]


def write_items(path: Path, items: list[Item]) -> None:
    storage.write_jsonl(path, [item.model_dump() for item in items])


def read_items(path: Path) -> list[Item]:
    return [Item.model_validate(row) for row in storage.read_jsonl(path)]
