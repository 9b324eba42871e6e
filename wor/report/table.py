"""The neutral form of every table. The terminal, the HTML page and notes.md each render it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

KINDS = {"pass": "good", "supported": "good", "fail": "bad", "contradicted": "bad", "absent": "bad"}


@dataclass(frozen=True)
class Mark:
    """A status that stands out by colour. ``kind`` is good, bad or open."""

    text: str
    kind: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Term:
    """A name with its meaning. The page shows both; other renderers show the name."""

    text: str
    meaning: str

    def __str__(self) -> str:
        return self.text


Cell = str | Mark | Term


@dataclass(frozen=True)
class Table:
    """One table, with a cell for each heading in each row, whose first cell is its heading.

    ``head`` may be empty. Columns with an index in ``numbers`` are aligned right and never folded.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Collection[int] = ()
    notes: Sequence[str] = field(default_factory=list)


def verdict_mark(status: str) -> Mark:
    return Mark(status, KINDS.get(status, "open"))
