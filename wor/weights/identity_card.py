"""Identity cards: a model's source, architecture and sizes, and the sha256 of each of its files."""

import math
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from wor import storage
from wor.config.params import HubModel, ModelSpec
from wor.errors import UserError
from wor.weights import folders, hub, wheels

_FRESH_COPY = "Take a fresh copy of the model"


def make_card(spec: ModelSpec, log: Callable[[str], None] = lambda _: None) -> dict:
    """Return a model's identity card. Fetches or converts the model if need be.

    For a model of the hub, the card's source has the commit. Later stages open that commit.
    """
    if isinstance(spec, HubModel):
        folder, commit = folders.fetch_hub_model(spec, log)
        hub.verify_files(spec.repo, "model", commit, folders.model_files(folder))
        spec = spec.model_copy(update={"commit": commit})
    else:
        folder = folders.resolve_folder(spec)
    files = {path.name: storage.sha256(path) for path in folders.model_files(folder)}
    if "config.json" not in files or "tokenizer.json" not in files:
        raise UserError(folder, f"has only {sorted(files)}", folders.NEEDED)
    if not any(name.endswith(".safetensors") for name in files):
        raise UserError(folder, f"no {' or '.join(folders.WEIGHTS)} there", folders.NO_PICKLES)
    config = _read(folder / "config.json")
    if folders.INDEX in files:
        missing = sorted(set(_read(folder / folders.INDEX)["weight_map"].values()) - set(files))
        if missing:
            raise UserError(folder, f"{folders.INDEX} names {', '.join(missing)}, which is not there", _FRESH_COPY)
    return {
        "label": spec.label,
        "source": spec.model_dump(),
        "architecture": (config.get("architectures") or ["unknown"])[0],
        "n_params": count_parameters(folder),
        "n_layers": config.get("num_hidden_layers"),
        "n_heads": config.get("num_attention_heads"),
        "context": config.get("max_position_embeddings"),
        "chat_template": "chat_template.jinja" in files,
        "tokenizer_sha256": files["tokenizer.json"],
        "files": files,
    }


def open_card(card: dict, verify: bool = True) -> Path:
    """Return the folder of a model, after a check of each file's hash against its identity card.

    ``verify`` is False for a card that was made just now.
    """
    spec, files = TypeAdapter(ModelSpec).validate_python(card["source"]), card["files"]
    selection = hub.FileSelection([*files], [], dict.fromkeys(files, ""))
    cached = hub.find_cached(spec.repo, spec.commit, "model", selection) if isinstance(spec, HubModel) else None
    folder = cached or folders.resolve_folder(spec)
    remedy = {
        "wheel": f"The converted file is not what was recorded: remove {folder} to have it made again",
        "local": "Put back the file that the study began with, or give the changed model a name of its own",
        "truncated": f"The truncated file is not what was recorded: remove {folder} to have it made again",
        "hub": f"It is not what was recorded: remove {folder} and what its files link to, to have it fetched again",
    }[spec.source]
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(path, f"missing (sha256 {expected})", remedy)
        if verify:
            wheels.require_sha256(path, expected, remedy)
    return folder


def count_parameters(folder: Path) -> int:
    """Return the number of parameters in a folder's weights, from the headers of the files."""
    from safetensors import safe_open

    total = 0
    for path in folders.model_files(folder):
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, "numpy") as tensors:
                    total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
            except Exception as error:  # the errors of safetensors have no common base
                raise UserError(path, f"not readable as safetensors ({error})", _FRESH_COPY) from None
    return total


def _read(path: Path) -> dict:
    try:
        return storage.read_json(path)
    except ValueError as error:
        raise UserError(path, f"not JSON ({error})", _FRESH_COPY) from None
