"""Identity cards: a model's source, sizes and prompts, and the sha256 of each of its files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from wor import storage
from wor.config.params import HubModel, ModelSpec
from wor.errors import UserError
from wor.weights import folders, gate, hub, wheels

if TYPE_CHECKING:
    from wor.engine.text import PromptTokenizer


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
    lm = gate.check_folder(folder, spec)
    files = {path.name: storage.sha256(path) for path in folders.model_files(folder)}
    text = lm.text
    return {
        "label": spec.label,
        "source": spec.model_dump(exclude_defaults=True),
        "architecture": type(lm.hf).__name__,
        "n_params": sum(parameter.numel() for parameter in lm.hf.parameters()),  # a tied one counts once
        "n_layers": lm.n_layers,
        "n_heads": lm.n_heads,
        "context": lm.context,
        "chat_template": text.has_chat_template,
        "chat_template_date": text.date and text.date.isoformat(),
        "begin_token": text.decode(text.begin) if text.begin else None,
        "end_tokens": [text.decode([token]) for token in sorted(lm.end_tokens)],
        "tokenizer_sha256": files["tokenizer.json"],
        "files": files,
    }


def read_tokenizer(card: dict, template: str) -> "PromptTokenizer":
    """Return the tokenizer of a recorded model, as `engine.load.load` reads it with its weights."""
    from wor.engine import load

    return load.read_tokenizer(open_card(card, verify=False), template, **prompt_options(card))


def prompt_options(card: dict) -> dict:
    """Return what a model's entry says about its prompts: arguments of `PromptTokenizer`."""
    return {name: card["source"].get(name) for name in ("begin_token", "chat_template_kwargs")}


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
