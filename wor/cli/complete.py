"""What the shell offers at Tab. Errors are swallowed: a shell would show them in the line."""

from collections.abc import Callable, Iterable
from functools import wraps

from wor import paths


def _offer(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what typer calls: ``names`` that begin with what is typed, none on an error."""

    @wraps(names)
    def complete(incomplete: str) -> list[str]:
        try:
            return [name for name in names() if name.startswith(incomplete)]
        except Exception:
            return []

    del complete.__wrapped__  # typer reads the signature, which is another
    return complete


@_offer
def iterations() -> Iterable[str]:
    """Return iterations that are not archived, newest first, then their experiments' names."""
    from wor.iterations import registry

    experiments = paths.experiments()
    rows = registry.read_rows(experiments)
    archived = registry.archived_names(rows)
    folders = [folder.name for _, folder in sorted(registry.iteration_folders(experiments).items(), reverse=True)]
    made_by = {row["iteration_id"]: row["experiment"] for row in rows if row["experiment"]}
    listed = [name for name in folders if name not in archived]
    return [*listed, *registry.published_folders(experiments), *(made_by[name] for name in listed if name in made_by)]


@_offer
def profiles() -> Iterable[str]:
    return sorted(path.stem for path in paths.PROFILES.glob("*.yaml"))


@_offer
def settings() -> Iterable[str]:
    """Return ``key=`` for every value in params.yaml, with dotted keys."""
    from wor.config import params
    from wor.config.overrides import flatten

    return [f"{key}=" for key, _ in flatten(params.read_yaml(paths.PARAMS))]


@_offer
def stages() -> Iterable[str]:
    """Return the stages of dvc.yaml from which an iteration can be computed again."""
    from wor.pipeline.graph import load_graph

    return [name for name in load_graph() if name != "iteration"]


@_offer
def datasets() -> Iterable[str]:
    """Return the datasets of params.yaml that have no frozen list yet."""
    from wor.config import params

    return [name for name in params.read_yaml(paths.PARAMS)["dataset_specs"] if not paths.frozen(name).is_file()]


@_offer
def models() -> Iterable[str]:
    from wor.config import params

    return params.read_yaml(paths.PARAMS)["model_specs"]


@_offer
def figures() -> Iterable[str]:
    from wor.figures import FIGURES

    return FIGURES
