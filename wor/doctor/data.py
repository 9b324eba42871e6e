"""Items, the files they come from, and weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wor import needs
from wor.doctor.finding import Finding, fail, ok, shown
from wor.errors import UserError
from wor.params import HubModel, LocalModel, ModelSpec, Params, TruncatedModel, WheelModel, whole
from wor.sources import datasets, frozen, wheels


def here(spec: ModelSpec) -> Path | None:
    """A model's folder, or None."""
    from wor.sources import weights  # with a package that may be what is missing

    return weights.here(spec)


def lists(params: Params) -> Iterator[Finding]:
    """profiles.check has refused an ``n`` beyond its list."""
    sizes = [f"{name} {params.spec(name).n} of {len(frozen.read(name))}" for name in params.datasets]
    yield ok("frozen lists", f"{', '.join(sizes)} items")


def sources(params: Params) -> Iterator[Finding]:
    """Every file that comes with a package or is the user's own; of a model that is cut, the whole's."""
    models = {name: whole(params.model_specs[name]) for name in params.models}
    for name, spec in (models | {name: params.spec(name) for name in params.datasets}).items():
        try:
            if spec.source == "wheel":
                wheels.find(spec.package, spec.version, spec.file, spec.sha256)
                yield ok(name, f"{spec.package} {spec.version}, sha256 {spec.sha256[:12]}... as pinned")
            elif spec.source == "jsonl":
                yield ok(name, ", ".join(map(shown, datasets.local_files(spec))))
        except UserError as error:
            yield fail(name, f"{error.key}: {error.value}", error.remedy)


def weights_ready(params: Params) -> Iterator[Finding]:
    for name in params.models:
        spec = params.model_specs[name]
        if isinstance(origin := whole(spec), LocalModel) and (lacks := _lacks(origin)):
            yield fail("weights", f"{name}: {origin.path} {lacks}", "Save the model there: save_pretrained")
        elif isinstance(spec, LocalModel):
            yield ok("weights", f"{name}: {spec.path}, {_size(needs.n_params(spec))}")
        elif not isinstance(spec, HubModel):
            folder, made = here(spec), "cut" if isinstance(spec, TruncatedModel) else "converted"
            standing = f"{made}: {shown(folder)}" if folder else f"to be {made}, once, in half a minute"
            most = "at most " if made == "cut" and not folder else ""
            yield ok("weights", f"{name}: {standing}, {most}{_size(needs.n_params(spec))}")


def to_make(params: Params) -> set[ModelSpec]:
    """Models that a run converts or cuts first."""
    specs = [params.model_specs[name] for name in params.models]
    return {spec for spec in (*specs, *map(whole, specs)) if isinstance(spec, WheelModel | TruncatedModel) and not here(spec)}


def _lacks(spec: LocalModel) -> str:
    from wor.sources import weights

    folder = here(spec)
    if folder is None:
        return "is no folder"
    missing = weights.WANTED.unmet([path.name for path in folder.iterdir()])
    return f"has no {', '.join(missing)}" if missing else ""


def _size(n: int | None) -> str:
    return "of unknown size" if n is None else f"{n / 1e6:,.0f} million parameters"
