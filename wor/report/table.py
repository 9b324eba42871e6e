"""Tables of a page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mark:
    """A word that stands out: ``kind`` is good, bad, open or plain."""

    text: str
    kind: str


KINDS = {"pass": "good", "supported": "good", "fail": "bad", "contradicted": "bad"}


@dataclass(frozen=True)
class Table:
    """``rows``: cells as text or Mark, the first a row's heading. ``head``: empty where columns need none. ``numbers``:
    columns that are set to the right."""

    caption: str
    head: list[str]
    rows: list[list[str | Mark]]
    numbers: range = range(0)
    notes: list[str] = field(default_factory=list)


def verdict_mark(status: str) -> Mark:
    return Mark(status, KINDS.get(status, "open"))
