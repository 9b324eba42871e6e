"""An item, and what identifies it: its ID, its content hash and its split."""

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from wor import storage
from wor.config.params import AnswerKind

Split = Literal["calibration", "evaluation"]


class RawItem(BaseModel):
    """An item as its source has it, before it becomes a prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    text: str
    answer: str = ""
    solution: str = ""
    answer_kind: AnswerKind = "none"
    cluster: str = ""


class Item(BaseModel):
    """A frozen item with its prompt.

    Removal of heads is scored on ``gold``. ``steps`` counts the results in a worked solution.
    ``paraphrase_shares`` are shares of changed words of the prompt, ``body_shares`` of the item's
    own text, and ``moved_shares`` the parts of the latter that only changed place.
    ``no_solution`` says why ``gold`` is no worked solution; empty where it is, and for controls.
    ``closing`` is the phrase with which the instruction asks to end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    dataset: str
    role: Literal["reasoning", "control"]
    split: Split
    cluster: str
    sha256: str
    prompt: str
    paraphrases: list[str]
    paraphrase_shares: list[float]
    body_shares: list[float] = []
    moved_shares: list[float] = []
    paraphrase_reason: str = ""
    answer: str
    answer_kind: AnswerKind
    gold: str
    steps: int | None = None
    paired_with: str = ""
    closing: str = ""
    no_solution: str = ""


AnyItem = TypeVar("AnyItem", bound=Item)


def normalise(text: str) -> str:
    """Return ``text`` in Unicode's form NFC, with every run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def content_hash(source: RawItem) -> str:
    """Return the sha256 of the normalised text and answer."""
    return hashlib.sha256(f"{normalise(source.text)}\x1f{normalise(source.answer)}".encode()).hexdigest()


def hash_to_unit(*key: object) -> float:
    """Return a number in [0, 1) that depends on ``key`` alone."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(cluster: str, calibration_share: float) -> Split:
    """Return the split of a cluster's items, by a hash of its name. The study's size is no matter.

    Items of one template or syllogistic form are alike, so all of them are on one side.
    """
    return "calibration" if hash_to_unit("split", cluster) < calibration_share else "evaluation"


def body_of(prompt: str, frame: str, instruction: str) -> str:
    """Return the item's own text in a prompt of `build.assemble_prompt`."""
    return prompt.removeprefix(f"{frame}\n\n").removesuffix(f"\n\n{instruction}" if instruction else "")


def evaluation_items(items: Iterable[AnyItem]) -> list[AnyItem]:
    """Return the items that are scored, of both classes. Those of calibration are held out."""
    return [item for item in items if item.split == "evaluation"]


def round_robin(items: Iterable[AnyItem], n: int) -> list[AnyItem]:
    """Return the first ``n`` items, one from each dataset in turn."""
    by_dataset: dict[str, list[AnyItem]] = {}
    for item in items:
        by_dataset.setdefault(item.dataset, []).append(item)
    longest = max(map(len, by_dataset.values()), default=0)
    return [group[index] for index in range(longest) for group in by_dataset.values() if index < len(group)][:n]


def write_items(path: Path, items: list[Item]) -> None:
    storage.write_jsonl(path, [item.model_dump() for item in items])


def read_items(path: Path) -> list[Item]:
    return [Item.model_validate(row) for row in storage.read_jsonl(path)]
