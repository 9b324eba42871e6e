"""Find or make the folder of safetensors, configuration and tokenizer of a model.

A GGUF file is converted once, into a cache keyed by its hash. The hub is read at one commit. Only
safetensors and GGUF are read: pickles and a model's modules can run code.
"""

import functools
import hashlib
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError

from wor import paths, storage
from wor.config.params import HubModel, LocalModel, ModelSpec, TruncatedModel, WheelModel, base_spec, is_gguf
from wor.errors import UserError
from wor.weights import gguf_files, hub, truncated, wheels

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
    if isinstance(spec, LocalModel) and not is_gguf(spec):
        folder = paths.project() / spec.path
        if not folder.is_dir():
            raise UserError(
                "model_specs.path", f"{spec.path!r} is no folder", "Give a folder with model.safetensors, or a GGUF file"
            )
        for path in model_files(folder):
            storage.require_fetched(path)
        return folder
    if isinstance(spec, TruncatedModel):
        origin = resolve_folder(spec.of)
        files, layers = model_files(origin), spec.layers
        return _make_once(_truncated_folder(spec, origin), lambda folder: truncated.write_truncated(files, layers, folder))
    path, is_pinned = gguf_path(spec), isinstance(spec, WheelModel)

    def convert(folder: Path) -> None:
        if not is_pinned:
            gguf_files.check(path)
        gguf_files.convert(path, folder)

    return _make_once(_converted_folder(spec), convert)


def find_folder(spec: ModelSpec) -> Path | None:
    """Return the model's folder if there is one. Writes nothing and uses no network."""
    if isinstance(spec, HubModel):
        return hub.find_cached(spec.repo, spec.pinned_revision, "model", MODEL_FILES)
    if isinstance(spec, LocalModel) and not (paths.project() / spec.path).exists():
        return None
    folder: Path | None
    if isinstance(spec, TruncatedModel):
        origin = find_folder(spec.of)
        folder = origin and _truncated_folder(spec, origin)
    elif isinstance(spec, LocalModel) and not is_gguf(spec):
        folder = paths.project() / spec.path
    else:
        folder = _converted_folder(spec)
    return folder if folder and folder.is_dir() else None


def gguf_path(spec: WheelModel | LocalModel) -> Path:
    """Return the GGUF file that a model is converted from. Raises UserError if it is missing."""
    if isinstance(spec, WheelModel):
        return wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
    path = paths.project() / spec.path
    if not path.is_file():
        raise UserError("model_specs.path", f"{spec.path!r} is no file", "Give a GGUF file, or a folder with model.safetensors")
    return path


def fetch_hub_model(spec: HubModel, log: Callable[[str], None]) -> tuple[Path, str]:
    """Return the model's folder in the hub's cache, and its commit."""
    return hub.fetch_snapshot(spec.repo, spec.pinned_revision, "model", MODEL_FILES, log)


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model. A folder may hold others."""
    return sorted(path for path in folder.iterdir() if path.is_file() and any(fnmatch(path.name, part) for part in _PARTS))


def local_files(spec: ModelSpec) -> list[Path]:
    """Return the model's files on this machine, which the user may change between stages."""
    origin = base_spec(spec)
    if not isinstance(origin, LocalModel):
        return []
    return [gguf_path(origin)] if is_gguf(origin) else model_files(resolve_folder(origin))


def _converted_folder(spec: WheelModel | LocalModel) -> Path:
    """Return the folder for a GGUF file once it is converted. Its name identifies the file."""
    if isinstance(spec, WheelModel):
        sha256 = spec.sha256
    else:
        status = (path := gguf_path(spec)).stat()
        sha256 = _sha256(path, status.st_mtime_ns, status.st_size)
    return paths.cache() / "models" / f"{sha256[:16]}-v{gguf_files.VERSION}-{metadata.version('transformers')}"


@functools.cache
def _sha256(path: Path, modified: int, size: int) -> str:
    """Return the sha256 of one version of a file, which takes seconds for some gigabytes."""
    return storage.sha256(path)


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
