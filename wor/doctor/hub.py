"""Models and datasets from the Hugging Face hub: in its cache here, or to be had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from wor.config.params import HubDataset, HubModel, Params
from wor.doctor import reach
from wor.doctor.finding import Finding, fail, ok, warn
from wor.weights.hub import access_token

SECONDS = 10  # for all of them together; most of it is the start of Python
REMEDIES = {
    "gated": "Accept the terms on its page, then: export HF_TOKEN=...",
    "missing": "Mend repo and revision in params.yaml; for a private repository: export HF_TOKEN=...",
    "unreachable": "Connect, or: export HF_ENDPOINT=... of a mirror, or bring the hub's cache of a machine that has it",
}

Hub = HubModel | HubDataset


def hub_specs(params: Params) -> list[Hub]:
    """What the study takes from the hub."""
    every = [*(params.model_specs[name] for name in params.models), *map(params.spec, params.datasets)]
    return [spec for spec in every if isinstance(spec, Hub)]


def cached_folder(spec: Hub) -> Path | None:
    """The folder of ``spec`` in the hub's cache, where a stage would find all that it needs; else None."""
    from wor.data import tables  # with packages that may be what is missing
    from wor.weights import identity_card

    return identity_card.find_folder(spec) if isinstance(spec, HubModel) else tables.cached_folder(spec)


def check_access(wanted: list[Hub]) -> Iterator[Finding]:
    """The hub is asked for what its cache here does not have, and for nothing else."""
    if not wanted:
        yield ok("hub", "not needed: no hub source in use")
        return
    from huggingface_hub import constants, get_token

    missing = [spec for spec in wanted if cached_folder(spec) is None]
    if have := [spec.repo for spec in wanted if spec not in missing]:
        yield ok("hub's cache", f"has {', '.join(have)}")
    if not missing:
        return
    away = ", ".join(f"{spec.repo} at {spec.pinned_revision}" for spec in missing)
    if constants.HF_HUB_OFFLINE:
        name = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        yield fail("hub", f"{name} is set, and its cache has no {away}", f"unset {name}, or bring the cache of another machine")
        return
    said_token = "a token is set" if access_token() or get_token() else "no token is set"  # never which
    asked = [f"{'model' if isinstance(spec, HubModel) else 'dataset'}:{spec.repo}@{spec.pinned_revision}" for spec in missing]
    try:
        answers = json.loads(reach.ask_in_subprocess("hub", *asked, seconds=SECONDS))
    except TimeoutError:
        yield fail("hub", f"no answer within {SECONDS} s; {said_token}; its cache has no {away}", REMEDIES["unreachable"])
        return
    for spec, (state, said) in zip(missing, answers, strict=True):
        if state == "there":
            yield ok("hub", f"{spec.repo} can be downloaded; {said_token}")
        elif state == "limited":
            yield warn("hub", f"{spec.repo}: {said}; {said_token}", "Wait a few minutes, or: export HF_TOKEN=...")
        else:
            yield fail("hub", f"{spec.repo}: {said}; {said_token}", REMEDIES[state])
