"""Tables of rows, from a JSON lines file or from a dataset of the hub, by key."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from wor import paths, storage
from wor.config.params import HubDataset, JsonLines, Rows
from wor.errors import UserError
from wor.weights import hub


@dataclass(frozen=True)
class Table:
    """``rows`` in their order; ``columns`` that any of them has. ``commit`` is the hub's, else empty."""

    rows: Sequence[Mapping[str, object]]
    columns: tuple[str, ...]
    origin: str
    commit: str = ""

    def index(self, key_column: str) -> dict[str, int]:
        """Row numbers by key: the text of ``key_column``, or where it is empty the row's number."""
        if not key_column:
            return {str(number): number for number in range(len(self.rows))}
        if key_column not in self.columns:
            remedy = f"It has {', '.join(self.columns)}: mend format or fields of the dataset"
            raise UserError(self.origin, f"no column {key_column}", remedy)
        found: dict[str, int] = {}
        remedy = "Name a column under fields.key whose values are all there and all different"
        for number, key in enumerate(self._column(key_column)):
            if key is None or key == "":
                raise UserError(self.origin, f"row {number} has no {key_column}", remedy)
            if str(key) in found:
                raise UserError(self.origin, f"rows {found[str(key)]} and {number} have the {key_column} {key!r}", remedy)
            found[str(key)] = number
        return found

    def _column(self, name: str) -> Sequence[object]:
        if isinstance(self.rows, list):
            return [row.get(name) for row in self.rows]
        return self.rows[name]  # of a Dataset: without reading the other columns


def read_table(spec: Rows) -> Table:
    if isinstance(spec, HubDataset):
        return _read_hub_table(spec.repo, spec.pinned_revision, spec.config, tuple(spec.splits), tuple(spec.files))
    return _read_json_lines(local_file(spec))


def cached_folder(spec: HubDataset) -> Path | None:
    """The dataset's folder if `read` would find all of it in the hub's cache, else None. Asks nobody."""
    return hub.find_cached(spec.repo, spec.pinned_revision, "dataset", _wanted(tuple(spec.files)))


def local_file(spec: JsonLines) -> Path:
    path = paths.project() / spec.path
    if not path.is_file():
        remedy = f"Put your copy of the {spec.format or 'JSON lines'} file there"
        raise UserError("dataset_specs.path", f"{spec.path!r} not found", remedy)
    return path


@functools.cache
def _read_json_lines(path: Path) -> Table:
    try:
        rows = storage.read_jsonl(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(path, f"not JSON lines ({error})", "Take a fresh copy of the file") from None
    if strange := [row for row in rows if not isinstance(row, dict)]:
        raise UserError(path, f"a line holds {strange[0]!r:.60}", "Give each line an object with named values")
    return Table(rows, tuple(dict.fromkeys(itertools.chain(*rows))), str(path))


def _wanted(files: tuple[str, ...]) -> hub.FileSelection:
    patterns = ["README.md", ".huggingface.yaml", *files] if files else None
    return hub.FileSelection(patterns, ["*.py"], dict.fromkeys(files, "Mend files: they are globs over the repository's paths"))


@functools.cache
def _read_hub_table(repo: str, revision: str, config: str, splits: tuple[str, ...], files: tuple[str, ...]) -> Table:
    """The splits' rows, one after the other, by the `datasets` library from the verified folder.

    The library reads formats that hold data only (parquet, JSON, CSV, text, Arrow); code of the repository isn't fetched.
    """
    wanted = _wanted(files)
    folder, commit = hub.fetch_snapshot(repo, revision, "dataset", wanted)
    hub.verify_files(repo, "dataset", commit, [folder / path for path in wanted.select(hub.list_files(folder))])
    import datasets  # a second, and most studies read no table of the hub

    datasets.disable_progress_bars()
    what = f"dataset {repo} at {commit}"
    have = _data_files(folder, config, what)
    if unknown := [split for split in splits if split not in have]:
        raise UserError(what, f"no split {', '.join(unknown)}", f"It has {', '.join(have)}: mend splits")
    try:
        loaded = datasets.load_dataset(
            str(folder),
            name=config or None,
            data_files={split: have[split] for split in splits},
            cache_dir=str(paths.cache() / "datasets"),
            # It counts rows and splits by what the repository's README says of all of them; the frozen list hashes each.
            verification_mode="no_checks",
        )
        rows = datasets.concatenate_datasets([loaded[split] for split in splits])
    except OSError as error:
        raise storage.cannot_write(paths.cache() / "datasets", error) if error.errno else _unread(what, error) from error
    except Exception as error:  # the library's and its readers' have no common base
        raise _unread(what, error) from error
    return Table(rows, tuple(rows.column_names), what, commit)


def _data_files(folder: Path, config: str, what: str) -> dict[str, list[str]]:
    """Globs of data files by split: as the README's YAML has them for ``config``, else by the files' names.

    Asked here and not left to the library, which looks for the files of the first configuration whichever it loads:
    those may not have been fetched.
    """
    from datasets.data_files import EmptyDatasetError, get_data_patterns, sanitize_patterns
    from huggingface_hub import DatasetCard

    readme = folder / "README.md"
    try:
        entries = (DatasetCard.load(readme).data.get("configs") if readme.is_file() else None) or []
        named = {entry["config_name"]: entry for entry in entries}
        default = next((name for name, entry in named.items() if entry.get("default")), "default")
        chosen = config or (default if default in named or len(named) != 1 else next(iter(named)))
        if named and chosen not in named:
            fault = f"no configuration {config}" if config else "more than one configuration"
            raise UserError(what, fault, f"Set config to one of {', '.join(named)}")
        if "data_files" in named.get(chosen, {}):
            return sanitize_patterns(named[chosen]["data_files"])
        below = named.get(chosen, {}).get("data_dir", "")
        patterns = get_data_patterns(str(folder / below))
        return {str(split): [str(Path(below, glob)) for glob in globs] for split, globs in patterns.items()}
    except EmptyDatasetError as error:
        raise UserError(what, "no data file that can be read as a table", "Check config and files of the dataset") from error
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _unread(what, error) from error


def _unread(what: str, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(what, f"its files can't be read as a table ({reason:.200})", "Check config, splits and files of the dataset")
