"""A model without its later layers, as files: what is left is copied, nothing is computed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from wor import storage
from wor.errors import UserError

VERSION = 1  # raise it when the files that come out change
_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")  # Llama's name of a layer, and GPT-2's


def write(files: Iterable[Path], layers: int, folder: Path) -> None:
    """Copy a model's files into ``folder``, with the weights of the first ``layers`` layers and of all outside layers.

    Raises UserError when the model has no more layers than that.
    """
    import torch  # noqa: F401 - numpy has no bfloat16
    from safetensors import safe_open
    from safetensors.torch import save_file

    for path in files:
        if path.suffix != ".safetensors":
            shutil.copyfile(path, folder / path.name)
            continue
        with safe_open(path, "pt") as tensors:
            kept = {name: tensors.get_tensor(name) for name in tensors.keys() if _depth(name) < layers}  # noqa: SIM118
            save_file(kept, folder / path.name, metadata=tensors.metadata())
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    config = storage.read_json(folder / "config.json")
    whole = config["num_hidden_layers"]
    if layers >= whole:
        raise UserError("layers", layers, f"The model has {whole}: keep fewer, or take it as it is")
    config["num_hidden_layers"] = layers
    if kinds := config.get("layer_types"):
        config["layer_types"] = kinds[:layers]
    storage.write_json(folder / "config.json", config)


def _depth(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1
