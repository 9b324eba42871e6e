"""Check before any work whether a model's files are whole, and agree. No weight is read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from wor import storage
from wor.config.params import LocalModel, ModelSpec, TruncatedModel, is_gguf
from wor.errors import UserError
from wor.weights import folders, gguf_files

if TYPE_CHECKING:
    from wor.engine.model import LM

FRESH_COPY = "Take a fresh copy of the model"
_FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors names them


def check_spec(spec: ModelSpec) -> "LM | None":
    """Check the model's folder, as `check_folder`. Return None if it is not on this machine yet."""
    folder = folders.find_folder(spec)
    if folder is None and isinstance(spec, TruncatedModel):
        return check_spec(spec.of)
    if folder is None and isinstance(spec, LocalModel):
        if is_gguf(spec):
            gguf_files.check(folders.gguf_path(spec))
        else:
            folder = folders.resolve_folder(spec)  # says that it is no folder
    return check_folder(folder, spec) if folder else None


def check_folder(folder: Path, spec: ModelSpec) -> "LM":
    """Return the model without its weights, see `engine.load.outline`, asked as ``spec`` says.

    Raises UserError for a file that is missing or is no such file, for tensors that configuration
    and files do not have alike, for quantised ones, for a tokenizer or special tokens beyond the
    embeddings, and for an architecture that the engine cannot run.
    """
    files = {path.name: path for path in folders.model_files(folder)}
    for path in files.values():
        storage.require_fetched(path)
    if missing := folders.MODEL_FILES.missing_patterns(files):
        raise UserError(folder, f"has no {missing[0]}, only {sorted(files)}", folders.MODEL_FILES.required[missing[0]])
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", folders.INDEX):
        if name in files:
            _read_object(files[name])
    shapes = _shapes(folder, files)
    from wor.engine.load import outline  # torch and transformers, which the checks above do not need

    try:
        return outline(folder, shapes, spec.begin_token, spec.chat_template_kwargs)
    except UserError as error:
        if str(folder) in error.key:
            raise
        raise UserError(f"{folder}: {error.key}", error.value, error.remedy) from None


def _shapes(folder: Path, files: dict[str, Path]) -> dict[str, list[int]]:
    """Return each tensor's shape by name, from the headers of the files."""
    from safetensors import safe_open

    shards = [path for path in files.values() if path.suffix == ".safetensors"]
    if folders.INDEX in files:
        index = _read_object(files[folders.INDEX]).get("weight_map", {})
        if absent := sorted(set(index.values()) - set(files)):
            raise UserError(folder, f"{folders.INDEX} names {', '.join(absent)}, which is not there", FRESH_COPY)
    elif "model.safetensors" not in files:
        raise UserError(folder, f"has shards, and no {folders.INDEX}", FRESH_COPY)
    shapes: dict[str, list[int]] = {}
    origins: dict[str, str] = {}
    for path in shards:
        try:
            with safe_open(path, "numpy") as tensors:
                slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
                sizes = {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
        except Exception as error:  # the errors of safetensors have no common base
            raise UserError(path, f"not readable as safetensors ({error})", FRESH_COPY) from None
        for name, (shape, dtype) in sizes.items():
            if name in origins:
                raise UserError(folder, f"{name} is in both {origins[name]} and {path.name}", "Remove the file that is left over")
            if len(shape) == 2 and dtype not in _FLOATS:  # others are masks that old checkpoints hold
                raise UserError(path, f"{name} is quantised ({dtype})", "Take them in float32 or float16")
            origins[name], shapes[name] = path.name, shape
    return shapes


def _read_object(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except ValueError as error:
        raise UserError(path, f"not JSON ({error})", FRESH_COPY) from None
    if not isinstance(content, dict):
        raise UserError(path, f"holds {type(content).__name__}", FRESH_COPY)
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")
