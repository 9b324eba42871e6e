"""Find or make the folder of safetensors, configuration and tokenizer of a model.

A wheel's GGUF is converted once, into a cache keyed by its hash and CONVERSION. The hub is read at
one commit. Only safetensors and GGUF are read: pickles and a model's modules can run code.
"""

import hashlib
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError

from wor import paths, storage
from wor.config.params import HubModel, LocalModel, ModelSpec, TruncatedModel, WheelModel, base_spec
from wor.errors import UserError
from wor.weights import hub, truncated, wheels

CONVERSION = 2  # raise it when the conversion's output changes
INDEX = "model.safetensors.index.json"
WEIGHTS = ("model.safetensors", "model-*.safetensors")  # one file or shards, as transformers names them
NEEDED = "It needs config.json, tokenizer.json and model.safetensors (or its shards)"
NO_PICKLES = "Save the model with save_pretrained, or name a repository that has it: pickles are not read, they can run code"
_PARTS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", INDEX, *WEIGHTS),
)
MODEL_FILES = hub.FileSelection(
    patterns=[*_PARTS],
    ignore=["*/*"],
    required={"config.json": NEEDED, "tokenizer.json": NEEDED, "model*.safetensors": NO_PICKLES},
)


def resolve_folder(spec: ModelSpec, log: Callable[[str], None] = lambda _: None) -> Path:
    """Return the model's folder. Fetches, converts or truncates the model if there is none yet."""
    if isinstance(spec, HubModel):
        return fetch_hub_model(spec, log)[0]
    if isinstance(spec, LocalModel):
        folder = paths.project() / spec.path
        if not folder.is_dir():
            raise UserError("model_specs.path", f"{spec.path!r} is no folder", "Give a folder with model.safetensors")
        for path in model_files(folder):
            storage.require_fetched(path)
        return folder
    if isinstance(spec, TruncatedModel):
        origin = resolve_folder(spec.of)
        files, layers = model_files(origin), spec.layers
        return _make_once(_truncated_folder(spec, origin), lambda folder: truncated.write_truncated(files, layers, folder))
    gguf = wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
    return _make_once(converted_folder(spec), lambda folder: _convert(gguf, folder))


def find_folder(spec: ModelSpec) -> Path | None:
    """Return the model's folder if there is one. Writes nothing and uses no network."""
    if isinstance(spec, HubModel):
        return hub.find_cached(spec.repo, spec.pinned_revision, "model", MODEL_FILES)
    folder: Path | None
    if isinstance(spec, TruncatedModel):
        origin = find_folder(spec.of)
        folder = origin and _truncated_folder(spec, origin)
    else:
        folder = paths.project() / spec.path if isinstance(spec, LocalModel) else converted_folder(spec)
    return folder if folder and folder.is_dir() else None


def fetch_hub_model(spec: HubModel, log: Callable[[str], None]) -> tuple[Path, str]:
    """Return the model's folder in the hub's cache, and its commit."""
    return hub.fetch_snapshot(spec.repo, spec.pinned_revision, "model", MODEL_FILES, log)


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model. A folder may hold others."""
    return sorted(path for path in folder.iterdir() if any(fnmatch(path.name, part) for part in _PARTS))


def local_files(spec: ModelSpec) -> list[Path]:
    """Return the model's files on this machine, which the user may change between stages."""
    origin = base_spec(spec)
    return model_files(resolve_folder(origin)) if isinstance(origin, LocalModel) else []


def converted_folder(spec: WheelModel) -> Path:
    """Return the folder for a wheel's model once it is converted."""
    return paths.cache() / "models" / f"{spec.sha256[:16]}-v{CONVERSION}-{metadata.version('transformers')}"


def _truncated_folder(spec: TruncatedModel, origin: Path) -> Path:
    """Return the folder for a truncated model. Its name identifies the whole model."""
    identity = origin.name
    if isinstance(spec.of, LocalModel):
        identity = hashlib.sha256("".join(map(storage.sha256, model_files(origin))).encode()).hexdigest()[:16]
    return paths.cache() / "models" / f"{identity}-first-{spec.layers}-v{truncated.VERSION}"


def _make_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Let one process ``write`` the folder while others wait. It appears complete or not at all."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
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
    except SafetensorError as error:  # save_pretrained raises it for a full disk
        raise UserError(folder, f"cannot be written ({error})", "Free space there, then rerun") from error
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise to float32, and save safetensors and a plain tokenizer."""
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
    for name in ("config.json", "generation_config.json"):  # a model's identity has no library's version
        content = storage.read_json(folder / name)
        content.pop("transformers_version", None)
        storage.write_json(folder / name, content)
