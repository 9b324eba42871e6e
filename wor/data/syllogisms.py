"""Check categorical syllogisms by brute force over models.

reasoning-gym's answers err on some of them. For example, it answers Yes to "All A are B; some B are
not C; so some A are not C". Frozen lists take only items whose answer this check confirms.
"""

import re
from itertools import product

_STATEMENT = re.compile(r"^(All|No|Some) (\w+) are (not )?(\w+)$")


def parse(statement: str) -> tuple[str, str, str]:
    """Return a statement's form (A, E, I or O), subject and predicate."""
    match = _STATEMENT.match(statement.strip())
    if match is None:
        raise ValueError(f"not a categorical statement: {statement!r}")
    quantifier, subject, negated, predicate = match.groups()
    form = {"All": "A", "No": "E", "Some": "I"}[quantifier]
    return ("O" if negated else form), subject, predicate


def follows(premises: list[str], conclusion: str) -> bool:
    """Return whether the conclusion holds in every world in which the premises hold.

    A world is a set of kinds of individual, and a kind is a combination of the terms. No term is
    empty. This is the Aristotelian reading, in which "all A are B" implies "some A are B".
    """
    parsed = [parse(premise) for premise in premises]
    goal = parse(conclusion)
    terms = sorted({term for _, *pair in [*parsed, goal] for term in pair})
    kinds = list(product([False, True], repeat=len(terms)))
    position = {term: index for index, term in enumerate(terms)}

    def holds(world: list[tuple[bool, ...]], statement: tuple[str, str, str]) -> bool:
        form, subject, predicate = statement
        predicates = [kind[position[predicate]] for kind in world if kind[position[subject]]]
        return {"A": all(predicates), "E": not any(predicates), "I": any(predicates), "O": not all(predicates)}[form]

    for existence in product([False, True], repeat=len(kinds)):
        world = [kind for kind, exists in zip(kinds, existence, strict=True) if exists]
        populated = all(any(kind[index] for kind in world) for index in range(len(terms)))
        if populated and all(holds(world, premise) for premise in parsed) and not holds(world, goal):
            return False
    return True
