"""A model without its later layers, as files: what is left is copied, nothing is computed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from wor import storage
from wor.errors import UserError

VERSION = 1  # raise it when the files that come out change
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_INDEX = "model.safetensors.index.json"


def write_truncated(files: Iterable[Path], layers: int, folder: Path) -> None:
    """Copy a model's files into ``folder``, with the weights of the first ``layers`` layers and of all outside layers.

    Raises UserError when the model has no more layers than that, or names them in a way of its own.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file  # numpy has no bfloat16

    files = {path.name: path for path in files}
    config = storage.read_json(files["config.json"])
    whole = config.get("num_hidden_layers")
    if whole is None:
        raise UserError("layers", layers, "Its config.json has no num_hidden_layers: cut a model of the Llama kind")
    if layers >= whole:
        raise UserError("layers", layers, f"The model has {whole}: keep fewer, or take it as it is")
    config["num_hidden_layers"] = layers
    if kinds := config.get("layer_types"):
        config["layer_types"] = kinds[:layers]
    kept = {}
    for name, path in files.items():
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as tensors:
                kept |= {key: tensors.get_tensor(key) for key in tensors.keys() if _depth(key) < layers}  # noqa: SIM118
        elif name != _INDEX:
            shutil.copyfile(path, folder / name)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    storage.write_json(folder / "config.json", config)


def _depth(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1
