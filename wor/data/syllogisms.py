"""Which categorical syllogisms hold, by brute force over models.

reasoning-gym's answer key errs on some of them ("All A are B; some B are not C; so some A are not C" is
keyed Yes), so the frozen list takes only items whose key this check confirms.
"""

from __future__ import annotations

import re
from itertools import product

_STATEMENT = re.compile(r"^(All|No|Some) (\w+) are (not )?(\w+)$")


def parse(statement: str) -> tuple[str, str, str]:
    """A statement as (form, subject, predicate); the form is one of the four letters A, E, I, O."""
    match = _STATEMENT.match(statement.strip())
    if match is None:
        raise ValueError(f"not a categorical statement: {statement!r}")
    quantifier, subject, negated, predicate = match.groups()
    form = {"All": "A", "No": "E", "Some": "I"}[quantifier]
    return ("O" if negated else form), subject, predicate


def follows(premises: list[str], conclusion: str) -> bool:
    """Whether every world in which the premises hold is one in which the conclusion does.

    A world says which kinds of individual exist, a kind being a combination of the terms; no term is
    empty (the Aristotelian reading, under which "all A are B" gives "some A are B").
    """
    parsed = [parse(premise) for premise in premises]
    goal = parse(conclusion)
    terms = sorted({term for _, *pair in [*parsed, goal] for term in pair})
    kinds = list(product([False, True], repeat=len(terms)))
    place = {term: index for index, term in enumerate(terms)}

    def holds(world: list[tuple[bool, ...]], statement: tuple[str, str, str]) -> bool:
        form, subject, predicate = statement
        predicates = [kind[place[predicate]] for kind in world if kind[place[subject]]]
        return {"A": all(predicates), "E": not any(predicates), "I": any(predicates), "O": not all(predicates)}[form]

    for chosen in product([False, True], repeat=len(kinds)):
        world = [kind for kind, exists in zip(kinds, chosen, strict=True) if exists]
        populated = all(any(kind[index] for kind in world) for index in range(len(terms)))
        if populated and all(holds(world, premise) for premise in parsed) and not holds(world, goal):
            return False
    return True
