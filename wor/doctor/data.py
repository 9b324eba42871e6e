"""Check the items, the files that they come from, and the weights."""

from collections.abc import Iterator
from pathlib import Path

from wor.config.params import HubModel, LocalModel, ModelSpec, Params, TruncatedModel, base_spec, is_gguf
from wor.data import datasets, frozen
from wor.doctor.finding import Finding, fail, ok, short_path
from wor.errors import UserError
from wor.machine import resources
from wor.weights import wheels


def model_folder(spec: ModelSpec) -> Path | None:
    """Return a model's folder, or None."""
    from wor.weights import folders  # imported late, as it needs a package that may be missing

    return folders.find_folder(spec)


def check_lists(params: Params) -> Iterator[Finding]:
    """Report each list's size. `validation.check_run` has refused an ``n`` beyond its list."""
    sizes = [f"{name} {params.spec(name).n} of {len(frozen.read_list(name))}" for name in params.datasets]
    yield ok("frozen lists", f"{', '.join(sizes)} items")


def check_sources(params: Params) -> Iterator[Finding]:
    """Check every file from a package or of the user. For a truncated model, check its origin's."""
    models = {name: base_spec(params.model_specs[name]) for name in params.models}
    for name, spec in (models | {name: params.spec(name) for name in params.datasets}).items():
        try:
            if spec.source == "wheel":
                wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
                yield ok(name, f"{spec.package} {spec.version}, sha256 {spec.sha256[:12]}... as pinned")
            elif spec.source == "jsonl":
                frozen.load_frozen_items(name, spec)
                yield ok(name, ", ".join(map(short_path, datasets.local_files(spec))))
        except UserError as error:
            yield fail(name, f"{error.key}: {error.value}", error.remedy)


def check_weights(params: Params) -> Iterator[Finding]:
    """Check the files of every model on this machine, see `gate.check_folder`."""
    for name in params.models:
        spec = params.model_specs[name]
        try:
            checked = _check_files(spec)
        except UserError as error:
            yield fail("weights", f"{name}: {error.key}: {error.value}", error.remedy)
            continue
        size = _size(resources.known_n_params(spec))
        if isinstance(spec, LocalModel) and not is_gguf(spec):
            yield ok("weights", f"{name}: {spec.path}, {size}")
        elif isinstance(spec, HubModel):
            if checked:
                yield ok("weights", f"{name}: in the hub's cache, {size}")
        else:
            folder, done = model_folder(spec), "truncated" if isinstance(spec, TruncatedModel) else "converted"
            state = f"{done}: {short_path(folder)}" if folder else f"to be {done}, once, in half a minute"
            bound = "at most " if done == "truncated" and not folder else ""
            yield ok("weights", f"{name}: {state}, {bound}{size}")


def models_to_convert(params: Params) -> set[ModelSpec]:
    """Return the models that a run converts or truncates first."""
    specs = [params.model_specs[name] for name in params.models]
    return {
        spec
        for spec in (*specs, *map(base_spec, specs))
        if (is_gguf(spec) or isinstance(spec, TruncatedModel)) and not model_folder(spec)
    }


def _check_files(spec: ModelSpec) -> bool:
    """Check a model's files. Return whether they are on this machine."""
    from wor.machine.libraries import quiet_libraries
    from wor.weights import gate

    quiet_libraries()
    return gate.check_spec(spec) is not None


def _size(n: int | None) -> str:
    return "of unknown size" if n is None else f"{n / 1e6:,.0f} million parameters"
