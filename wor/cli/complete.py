"""What the shell offers at Tab. Never raises and never prints: a shell would show that in the middle of a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps

from wor import paths


def _quietly(offers: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """``offers``, as typer asks for it: those that begin with what is typed, and none where anything is amiss."""

    @wraps(offers)
    def offered(incomplete: str) -> list[str]:
        try:
            return [name for name in offers() if name.startswith(incomplete)]
        except Exception:
            return []

    del offered.__wrapped__  # typer reads the signature, which is another
    return offered


@_quietly
def iterations() -> Iterable[str]:
    from wor.iterations import registry

    return [folder.name for _, folder in sorted(registry.iteration_folders(paths.experiments()).items(), reverse=True)]


@_quietly
def profiles() -> Iterable[str]:
    return sorted(path.stem for path in paths.PROFILES.glob("*.yaml"))


@_quietly
def settings() -> Iterable[str]:
    """``key=`` of every value in params.yaml, dotted."""
    from wor.config import params
    from wor.config.overrides import flatten

    return [f"{key}=" for key, _ in flatten(params.read_yaml(paths.PARAMS))]


@_quietly
def stages() -> Iterable[str]:
    """Names in dvc.yaml, without the grid's parts and without what only gathers."""
    import yaml

    found = yaml.safe_load(paths.PIPELINE.read_text(encoding="utf-8"))["stages"]
    return [name for name in found if name != "iteration"]


@_quietly
def datasets() -> Iterable[str]:
    """Those of params.yaml that have no frozen list yet."""
    from wor.config import params

    return [name for name in params.read_yaml(paths.PARAMS)["dataset_specs"] if not paths.frozen(name).is_file()]
