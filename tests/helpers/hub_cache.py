"""Make a cache of the Hugging Face hub as its library lays it out after a download."""

from __future__ import annotations

import hashlib
from pathlib import Path

# A blob of these is named by the sha256 of its content, any other by git's hash.
LARGE = (".safetensors", ".parquet", ".bin")


def content(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


def digest(name: str, data: bytes) -> str:
    """Return the hub's etag for a file."""
    if name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def lay_out(cache: Path, kind: str, repo: str, files: dict[str, Path | bytes], commit: str, ref: str = "main") -> Path:
    """Write ``files`` by path as ``repo`` at ``commit``, point ``ref`` to it, return its folder.

    ``kind`` is "model" or "dataset". ``cache`` is a value for HF_HUB_CACHE.
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
