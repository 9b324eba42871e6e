"""Work on several arrays at a time."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return ``function`` of each item, in order, by one thread per processor.

    Matrix products meanwhile have one thread each, so that a result depends on no number of
    processors. What several items share should be computed before. It is of use for arrays of many
    numbers: over short ones, threads wait for each other's turn in Python.
    """
    with threadpool_limits(1):
        return list(Parallel(n_jobs=-1, prefer="threads")(delayed(function)(item) for item in items))


def by_name(function: Callable[[str], Result], names: Iterable[str]) -> dict[str, Result]:
    """Return ``function`` of each name, by name: see `map_threads`."""
    names = list(names)
    return dict(zip(names, map_threads(function, names), strict=True))
