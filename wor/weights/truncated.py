"""Write a model without its later layers. The rest is copied unchanged."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from wor import storage
from wor.errors import UserError

VERSION = 1  # raise it when the output changes
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_INDEX = "model.safetensors.index.json"


def write_truncated(files: Iterable[Path], layers: int, folder: Path) -> None:
    """Copy a model's files into ``folder``, without the weights after the first ``layers`` layers.

    Raises UserError if the model has no more layers, or does not name them as Llama does.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file  # numpy has no bfloat16

    by_name = {path.name: path for path in files}
    config = storage.read_json(by_name["config.json"])
    n_layers = config.get("num_hidden_layers")
    if n_layers is None:
        raise UserError("layers", layers, "Its config.json has no num_hidden_layers: cut a model of the Llama kind")
    if layers >= n_layers:
        raise UserError("layers", layers, f"The model has {n_layers}: keep fewer, or take it as it is")
    config["num_hidden_layers"] = layers
    if layer_types := config.get("layer_types"):
        config["layer_types"] = layer_types[:layers]
    weights: dict = {}
    for name, path in by_name.items():
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as tensors:
                weights |= {key: tensors.get_tensor(key) for key in tensors.keys() if _depth(key) < layers}  # noqa: SIM118
        elif name != _INDEX:
            shutil.copyfile(path, folder / name)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    storage.write_json(folder / "config.json", config)


def _depth(name: str) -> int:
    match = _LAYER.search(name)
    return int(match[1]) if match else -1
