"""Writing and reading files so that a reader never sees half of one."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wor.errors import UserError

if TYPE_CHECKING:  # half of a command's start, and most commands read no table
    import numpy as np
    import pandas as pd


LFS_POINTER = b"version https://git-lfs.github.com/spec/"
PACKED = ".gz"
TABLE, ARRAYS = "items.parquet", "arrays.safetensors"  # of a folder of records


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success fsync it and rename it to ``path``.

    A failure leaves ``path`` as it was. A full or read-only disk is a UserError that names it.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        temporary.touch(exist_ok=False)  # with the umask's mode, unlike tempfile's
        yield temporary
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> UserError:
    """The line for a full or read-only disk, a missing permission, or an absent input."""
    if isinstance(error, FileNotFoundError):
        return UserError(error.filename or path, "not found", "Run the stages before this one: dvc exp run")
    return UserError(path, f"cannot be written ({error.strerror or error})", "Free space or permissions there, then rerun")


def fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """JSON with NaN written as null, so that every reader of the format can read it."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    path = find_file(Path(path))
    data = path.read_bytes()
    return json.loads((gzip.decompress(data) if path.suffix == PACKED else data).decode("utf-8"))


def to_plain(value: object) -> object:
    """``value`` with numpy scalars and arrays as Python's own, and non-finite numbers as None."""
    import numpy as np

    if isinstance(value, dict):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """A CSV whose floats read back bit for bit, NaN as an empty field."""
    with writing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(find_file(path))


def find_file(path: Path) -> Path:
    """Return ``path``, or its gzipped copy, which a published study has of a large file."""
    packed = path.with_name(f"{path.name}{PACKED}")
    return packed if packed.is_file() else path


def write_jsonl(path: Path, rows: list[dict]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict]:
    # Not splitlines(): it would also split at U+2028 and its like, inside a JSON string.
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line.strip()]


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import numpy as np
    from safetensors.numpy import save

    with writing(path) as temporary:  # not save_file: its error for a full disk is no OSError
        temporary.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def write_records(folder: Path, frame: pd.DataFrame, arrays: dict[str, np.ndarray]) -> None:
    """A row per item in ``items.parquet``, a leading index per item in ``arrays.safetensors``."""
    for name, array in arrays.items():
        if len(array) != len(frame):
            raise ValueError(f"{name} has {len(array)} rows, the items table {len(frame)}")
    with writing(folder / TABLE) as temporary:
        frame.to_parquet(temporary, index=False)
    write_arrays(folder / ARRAYS, arrays)


def read_records(folder: Path) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    import pandas as pd

    return pd.read_parquet(folder / TABLE), read_arrays(folder / ARRAYS)


def files_by_name(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its path in it, with slashes."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def require_fetched(path: Path) -> None:
    """Raise UserError for a git-LFS pointer in place of the file."""
    with open(path, "rb") as stream:
        if stream.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(path, "is a git-LFS pointer, not the file itself", "Fetch it: git lfs pull")


def sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
