"""Read tables of rows from a JSON lines file or from a dataset of the hub."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wor import paths, storage
from wor.config.params import HubDataset, JsonLines, Rows
from wor.data import fields, json_lines
from wor.data.items import RawItem
from wor.errors import UserError
from wor.weights import hub


@dataclass(frozen=True)
class Table:
    """Rows in order, and the columns that any of them has.

    ``commit`` is empty for a local file. ``places`` are empty for a dataset of the hub.
    """

    rows: Any  # a list of dicts, or a datasets.Dataset
    columns: tuple[str, ...]
    origin: str
    commit: str = ""
    places: Sequence[str] = ()

    def place(self, row: int) -> str:
        """Return where a row stands: its line of the file, or its number from 0."""
        return self.places[row] if self.places else f"row {row}"

    def item(self, key: str, row: int, spec: Rows) -> RawItem:
        """Return the item of a row. Raises UserError for what cannot be read from it."""
        return fields.raw_item(key, self.rows[row], spec, f"{self.origin}, {self.place(row)}")

    def index(self, key_column: str) -> dict[str, int]:
        """Return row numbers by key. Without a ``key_column`` a row's key is its number."""
        if not key_column:
            return {str(number): number for number in range(len(self.rows))}
        if key_column not in self.columns:
            raise UserError(self.origin, f"no column {key_column}", fields.say_columns(self.columns))
        numbers: dict[str, int] = {}
        remedy = "Name a column under fields.key whose values are texts or numbers, all there and all different"
        # A Dataset reads one column without the others.
        keys = [row.get(key_column) for row in self.rows] if isinstance(self.rows, list) else self.rows[key_column]
        for number, key in enumerate(keys):
            if not (name := fields.read_name(key)):
                fault = f"has no {key_column}" if key in (None, "") else f"has the {key_column} {key!r:.60}"
                raise UserError(self.origin, f"{self.place(number)} {fault}", remedy)
            if name in numbers:
                rows = f"{self.place(numbers[name])} and {self.place(number)}"
                raise UserError(self.origin, f"{rows} have the {key_column} {key!r:.60}", remedy)
            numbers[name] = number
        return numbers


def read_table(spec: JsonLines | HubDataset) -> Table:
    if isinstance(spec, HubDataset):
        return _read_hub_table(spec.repo, spec.pinned_revision, spec.config, tuple(spec.splits), tuple(spec.files))
    return _read_json_lines(local_file(spec))


def cached_folder(spec: HubDataset) -> Path | None:
    """Return the dataset's folder if the hub's cache has all its files. Uses no network."""
    return hub.find_cached(spec.repo, spec.pinned_revision, "dataset", _selection(tuple(spec.files)))


def local_file(spec: JsonLines) -> Path:
    path = paths.project() / spec.path
    if not path.is_file():
        remedy = f"Put your copy of the {spec.format or 'JSON lines'} file there"
        raise UserError("dataset_specs.path", f"{spec.path!r} not found", remedy)
    return path


@functools.cache
def _read_json_lines(path: Path) -> Table:
    rows, places = json_lines.read_rows(path)
    return Table(rows, tuple(dict.fromkeys(itertools.chain(*rows))), str(path), places=places)


def _selection(files: tuple[str, ...]) -> hub.FileSelection:
    patterns = ["README.md", ".huggingface.yaml", *files] if files else None
    return hub.FileSelection(patterns, ["*.py"], dict.fromkeys(files, "Mend files: they are globs over the repository's paths"))


@functools.cache
def _read_hub_table(repo: str, revision: str, config: str, splits: tuple[str, ...], files: tuple[str, ...]) -> Table:
    """Read the splits' rows, in order, from the verified folder. No code is fetched or run."""
    selection = _selection(files)
    folder, commit = hub.fetch_snapshot(repo, revision, "dataset", selection)
    hub.verify_files(repo, "dataset", commit, [folder / path for path in selection.select(hub.list_files(folder))])
    import datasets  # takes a second

    datasets.disable_progress_bars()
    title = f"dataset {repo} at {commit}"
    data_files = _data_files(folder, config, title)
    if unknown := [split for split in splits if split not in data_files]:
        raise UserError(title, f"no split {', '.join(unknown)}", f"It has {', '.join(data_files)}: mend splits")
    try:
        loaded = datasets.load_dataset(
            str(folder),
            name=config or None,
            data_files={split: data_files[split] for split in splits},
            cache_dir=str(paths.cache() / "datasets"),
            # The check would compare counts with the README, which counts all splits.
            verification_mode="no_checks",
        )
        rows = datasets.concatenate_datasets([loaded[split] for split in splits])
    except OSError as error:
        raise storage.cannot_write(paths.cache() / "datasets", error) if error.errno else _unread(title, error) from error
    except Exception as error:  # the library's errors have no common base
        raise _unread(title, error) from error
    return Table(rows, tuple(rows.column_names), title, commit)


def _data_files(folder: Path, config: str, title: str) -> dict[str, list[str]]:
    """Return globs of data files by split: from the README's entry for ``config``, or from names.

    The library would look for the files of the first configuration, which may not be there.
    """
    from datasets.data_files import EmptyDatasetError, get_data_patterns, sanitize_patterns
    from huggingface_hub import DatasetCard

    readme = folder / "README.md"
    try:
        entries = (DatasetCard.load(readme).data.get("configs") if readme.is_file() else None) or []
        configs = {entry["config_name"]: entry for entry in entries}
        default = next((name for name, entry in configs.items() if entry.get("default")), "default")
        name = config or (default if default in configs or len(configs) != 1 else next(iter(configs)))
        if configs and name not in configs:
            fault = f"no configuration {config}" if config else "more than one configuration"
            raise UserError(title, fault, f"Set config to one of {', '.join(configs)}")
        entry = configs.get(name, {})
        if "data_files" in entry:
            return sanitize_patterns(entry["data_files"])
        data_dir = entry.get("data_dir", "")
        patterns = get_data_patterns(str(folder / data_dir))
        return {str(split): [str(Path(data_dir, glob)) for glob in globs] for split, globs in patterns.items()}
    except EmptyDatasetError as error:
        raise UserError(title, "no data file that can be read as a table", "Check config and files of the dataset") from error
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _unread(title, error) from error


def _unread(title: str, error: BaseException) -> UserError:
    while error.__cause__:  # the library's own error says only that there was one
        error = error.__cause__
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        title, f"its files can't be read as a table ({reason:.200})", "Check config, splits and files of the dataset"
    )
