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
    seen: set[str] = set()
    for source in datasets.fetch_items(spec, pool).values():
        digest = items.content_hash(source)
        if digest not in seen and len(rows) < n:
            seen.add(digest)
            rows.append((f"{dataset}/{source.key}", source.key, digest, source.cluster))
    if len(rows) < n:
        raise UserError("n", n, f"The source of {dataset} has {len(rows)} distinct items; ask for at most that")
    storage.write_csv(path, pd.DataFrame(rows, columns=COLUMNS))
    return path


def read_list(dataset: str) -> pd.DataFrame:
    import pandas as pd

    path = paths.frozen(dataset)
    if not path.is_file():
        if (paths.project() / path).is_file():  # this is a copy that DVC made of what git knows
            raise UserError(path, "git does not know it, so this copy of the workspace lacks it", f"git add -f {path}")
        raise UserError(path, "no frozen list", f"Make one with: wor freeze {dataset} --n N")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != COLUMNS:
        raise UserError(path, f"columns are {list(frame.columns)}", f"They must be {COLUMNS}: git checkout {path}")
    return frame


def require_list_sizes(params: Params) -> None:
    """Raise UserError for an ``n`` that is larger than the frozen list."""
    for dataset in params.datasets:
        size, n = len(read_list(dataset)), params.spec(dataset).n
        if n > size:
            remedy = f"The frozen list {paths.frozen(dataset)} has {size} items; ask for at most that"
            raise UserError(f"dataset_specs.{dataset}.n", n, remedy)


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
        names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        remedy = "Restore the source that the list was made from, or freeze a new dataset under another name"
        raise UserError(paths.frozen(dataset), f"content differs from its frozen hash: {names}", remedy)
    return [(row, sources[row["key"]]) for _, row in listed.iterrows()]
