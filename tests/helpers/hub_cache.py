"""A cache of the Hugging Face hub as the library lays it out, made by hand: what a machine has that fetched before."""

from __future__ import annotations

import hashlib
from pathlib import Path

LARGE = (".safetensors", ".parquet", ".bin")  # kept by the sha256 of their content, the others as git keeps them


def content(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


def digest(name: str, data: bytes) -> str:
    """What the hub calls a file's content: its etag."""
    if name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def lay_out(cache: Path, kind: str, repo: str, files: dict[str, Path | bytes], commit: str, ref: str = "main") -> Path:
    """``files``, by their path in the repository, as ``repo`` at ``commit``, which is what ``ref`` stands for.

    ``kind`` is "model" or "dataset", ``cache`` what HF_HUB_CACHE is to name. Gives the folder of the commit.
    """
    storage = cache / f"{kind}s--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / commit
    for name, file in files.items():
        data = content(file)
        blob, link = storage / "blobs" / digest(name, data), snapshot / name
        blob.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link.symlink_to(Path(*[".."] * (2 + name.count("/")), "blobs", blob.name))
    (storage / "refs").mkdir(exist_ok=True)
    (storage / "refs" / ref).write_text(commit)
    return snapshot
