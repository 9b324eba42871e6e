"""Check that models and datasets of the Hugging Face hub are cached or can be downloaded."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from wor.config.params import HubDataset, HubModel, Params
from wor.doctor import reach
from wor.doctor.finding import Finding, fail, ok, warn
from wor.weights.hub import access_token

SECONDS = 10  # for all requests together, including the start of Python
REMEDIES = {
    "gated": "Accept the terms on its page, then: export HF_TOKEN=...",
    "missing": "Correct repo and revision in params.yaml. For a private repository: export HF_TOKEN=...",
    "unreachable": "Connect to the network, or: export HF_ENDPOINT=MIRROR, or copy the hub's cache from another machine",
}

Hub = HubModel | HubDataset


def hub_specs(params: Params) -> list[Hub]:
    """Return the study's models and datasets that come from the hub."""
    specs = [*(params.model_specs[name] for name in params.models), *map(params.spec, params.datasets)]
    return [spec for spec in specs if isinstance(spec, Hub)]


def cached_folder(spec: Hub) -> Path | None:
    """Return the folder in the hub's cache that has everything a stage needs, or None."""
    from wor.data import tables  # imported late, as it needs packages that may be missing
    from wor.weights import folders

    return folders.find_folder(spec) if isinstance(spec, HubModel) else tables.cached_folder(spec)


def check_access(specs: list[Hub]) -> Iterator[Finding]:
    """Check the cache first, and ask the hub only about what the cache does not have."""
    if not specs:
        yield ok("hub", "not needed: no hub source in use")
        return
    from huggingface_hub import constants, get_token

    missing = [spec for spec in specs if cached_folder(spec) is None]
    if cached := [spec.repo for spec in specs if spec not in missing]:
        yield ok("hub's cache", f"has {', '.join(cached)}")
    if not missing:
        return
    names = ", ".join(f"{spec.repo} at {spec.pinned_revision}" for spec in missing)
    if constants.HF_HUB_OFFLINE:
        name = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        yield fail("hub", f"{name} is set, and its cache has no {names}", f"unset {name}, or copy another machine's cache")
        return
    token = "a token is set" if access_token() or get_token() else "no token is set"  # never its value
    questions = [f"{'model' if isinstance(spec, HubModel) else 'dataset'}:{spec.repo}@{spec.pinned_revision}" for spec in missing]
    try:
        answers = json.loads(reach.ask_in_subprocess("hub", *questions, seconds=SECONDS))
    except TimeoutError:
        yield fail("hub", f"no answer within {SECONDS} s; {token}; its cache has no {names}", REMEDIES["unreachable"])
        return
    for spec, (state, reason) in zip(missing, answers, strict=True):
        if state == "available":
            yield ok("hub", f"{spec.repo} can be downloaded; {token}")
        elif state == "limited":
            yield warn("hub", f"{spec.repo}: {reason}; {token}", "Wait a few minutes, or: export HF_TOKEN=...")
        else:
            yield fail("hub", f"{spec.repo}: {reason}; {token}", REMEDIES[state])
