"""Frozen lists: the items of a study in order, each with the hash of its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wor import paths, storage
from wor.config.params import DatasetSpec, Params
from wor.data import datasets, items
from wor.data.items import RawItem
from wor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["item_id", "key", "sha256", "cluster"]


def freeze(dataset: str, spec: DatasetSpec, n: int, seed: int) -> Path:
    """Draw ``n`` items by a hash of seed and key, and write their list. Never overwrites a list."""
    import pandas as pd

    path = paths.frozen(dataset)
    if path.exists():
        raise UserError(path, "this frozen list exists", "Give the dataset another name: a list never changes")
    pool = sorted(datasets.list_keys(spec), key=lambda key: items.hash_to_unit("freeze", seed, dataset, key))
    # Two keys with the same content would count one item twice.
    rows: list[tuple[str, str, str, str]] = []
    seen: dict[str, str] = {}
    twins: list[str] = []
    for source in datasets.fetch_items(spec, pool).values():
        digest = items.content_hash(source)
        if digest in seen:
            twins.append(f"{seen[digest]} and {source.key}")
        elif len(rows) < n:
            seen[digest] = source.key
            rows.append((f"{dataset}/{source.key}", source.key, digest, source.cluster))
    if len(rows) < n:
        same = f". The same question and answer: {_some(twins)}" if twins else ""
        raise UserError("n", n, f"The source of {dataset} has {len(rows)} distinct items; ask for at most that{same}")
    storage.write_csv(path, pd.DataFrame(rows, columns=COLUMNS))
    return path


def read_list(dataset: str) -> pd.DataFrame:
    import pandas as pd

    path = paths.frozen(dataset)
    if not path.is_file():
        if (paths.project() / path).is_file():  # this is a copy that DVC made of what git knows
            raise UserError(path, "git does not know it, so this copy of the workspace lacks it", f"git add -f {path}")
        raise UserError(path, "no frozen list", f"Make one with: wor freeze {dataset} --n N")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors are
        raise UserError(path, f"no table ({str(error).strip():.100})", f"Take it back: git checkout {path}") from None
    if list(frame.columns) != COLUMNS or not isinstance(frame.index, pd.RangeIndex):  # else lines have more values
        raise UserError(path, f"columns are {list(frame.columns)}", f"They must be {COLUMNS}: git checkout {path}")
    if (flawed := frame.eq("").any(axis=1) | frame["item_id"].duplicated()).any():
        fault = f"line {int(flawed.idxmax()) + 2} lacks a value, or has the item of another line"
        raise UserError(path, fault, f"Take it back: git checkout {path}")
    return frame


def require_list_sizes(params: Params) -> None:
    """Raise UserError for an ``n`` that is larger than the frozen list."""
    for dataset in params.datasets:
        size, n = len(read_list(dataset)), params.spec(dataset).n
        if n > size:
            remedy = f"The frozen list {paths.frozen(dataset)} has {size} items; ask for at most that"
            raise UserError(f"dataset_specs.{dataset}.n", n, remedy)


def require_local_items(params: Params) -> None:
    """Read the items that come from files of the user. Raises UserError for the first fault."""
    for dataset in params.datasets:
        if datasets.local_files(params.spec(dataset)):
            load_frozen_items(dataset, params.spec(dataset))


def load_frozen_items(dataset: str, spec: DatasetSpec) -> list[tuple[pd.Series, RawItem]]:
    """Return the list's first ``spec.n`` rows, each with its item. Checks each content hash."""
    listed = read_list(dataset).head(spec.n)
    sources = datasets.fetch_items(spec, list(listed["key"]))
    changed = []
    for row in listed.itertuples():
        source = sources.get(row.key)
        if source is None:
            changed.append(f"{row.item_id} (gone)")
        elif items.content_hash(source) != row.sha256:
            changed.append(f"{row.item_id} (changed)")
    if changed:
        remedy = "Restore the source that the list was made from, or freeze a new dataset under another name"
        raise UserError(paths.frozen(dataset), f"content differs from its frozen hash: {_some(changed)}", remedy)
    return [(row, sources[row["key"]]) for _, row in listed.iterrows()]


def _some(names: list[str]) -> str:
    """Return the first five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
