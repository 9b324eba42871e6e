"""Models and datasets from the Hugging Face hub: in its cache here, or to be had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wor.doctor import reach
from wor.doctor.finding import Finding, fail, ok, warn
from wor.params import Params

SECONDS = 10  # for all of them together; most of it is the start of Python
REMEDIES = {
    "gated": "Accept the terms on its page, then: export HF_TOKEN=...",
    "missing": "Mend repo and revision in params.yaml; for a private repository: export HF_TOKEN=...",
    "unreachable": "Connect, or: export HF_ENDPOINT=... of a mirror, or bring the hub's cache of a machine that has it",
}

Hub = tuple[str, Any]  # "model" or "dataset", and a specification with source: hub


def specs(params: Params) -> list[Hub]:
    """What the study takes from the hub."""
    models = [("model", params.model_specs[name]) for name in params.models]
    every = models + [("dataset", params.spec(name)) for name in params.datasets]
    return [(kind, spec) for kind, spec in every if spec.source == "hub"]


def folder() -> Path:
    """The hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached(kind: str, spec: Any) -> Path | None:
    """The folder of ``spec`` in the hub's cache, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(spec.repo, repo_type=kind, revision=spec.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    # A model whose download broke off has a folder, and no weights in it.
    return found if any(found.rglob("*.safetensors" if kind == "model" else "*")) else None


def access(wanted: list[Hub]) -> Iterator[Finding]:
    """The hub is asked for what its cache here does not have, and for nothing else."""
    if not wanted:
        yield ok("hub", "not needed: no hub source in use")
        return
    from huggingface_hub import constants, get_token

    missing = [(kind, spec) for kind, spec in wanted if cached(kind, spec) is None]
    if have := [spec.repo for kind, spec in wanted if (kind, spec) not in missing]:
        yield ok("hub's cache", f"has {', '.join(have)}")
    if not missing:
        return
    away = ", ".join(f"{spec.repo} at {spec.revision}" for _, spec in missing)
    if constants.HF_HUB_OFFLINE:
        name = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        yield fail("hub", f"{name} is set, and its cache has no {away}", f"unset {name}, or bring the cache of another machine")
        return
    token = "a token is set" if reach.token() or get_token() else "no token is set"  # never which
    asked = [f"{kind}:{spec.repo}@{spec.revision}" for kind, spec in missing]
    try:
        answers = json.loads(reach.ask("hub", *asked, seconds=SECONDS))
    except TimeoutError:
        yield fail("hub", f"no answer within {SECONDS} s; {token}; its cache has no {away}", REMEDIES["unreachable"])
        return
    for (_, spec), (state, said) in zip(missing, answers, strict=True):
        if state == "there":
            yield ok("hub", f"{spec.repo} can be downloaded; {token}")
        elif state == "limited":
            yield warn("hub", f"{spec.repo}: {said}; {token}", "Wait a few minutes, or: export HF_TOKEN=...")
        else:
            yield fail("hub", f"{spec.repo}: {said}; {token}", REMEDIES[state])
