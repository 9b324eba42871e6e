"""Items, the files they come from, and weights."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from wor.doctor import hub
from wor.doctor.finding import Finding, fail, ok, shown
from wor.errors import UserError
from wor.params import ModelSpec, Params, WheelModel
from wor.sources import datasets, frozen, wheels

# wor.sources.weights needs a package that may be what is missing here, so it is imported where it is used.


def lists(params: Params) -> Iterator[Finding]:
    """profiles.check has refused an ``n`` beyond its list."""
    sizes = [f"{name} {params.spec(name).n} of {len(frozen.read(name))}" for name in params.datasets]
    yield ok("frozen lists", f"{', '.join(sizes)} items")


def sources(params: Params) -> Iterator[Finding]:
    """Every file that comes with a package or is the user's own."""
    specs = {name: params.model_specs[name] for name in params.models} | {name: params.spec(name) for name in params.datasets}
    for name, spec in specs.items():
        try:
            if spec.source == "wheel":
                wheels.find(spec.package, spec.version, spec.file, spec.sha256)
                yield ok(name, f"{spec.package} {spec.version}, sha256 {spec.sha256[:12]}... as pinned")
            elif spec.source == "jsonl":
                yield ok(name, ", ".join(map(shown, datasets.local_files(spec))))
        except UserError as error:
            yield fail(name, f"{error.key}: {error.value}", error.remedy)


def weights_ready(params: Params) -> Iterator[Finding]:
    from wor.sources import weights

    for name in params.models:
        spec = params.model_specs[name]
        if spec.source == "local":
            files = [path.name for path in weights.local_files(spec)]
            lacks = [part for part in ("config.json", "tokenizer.json") if part not in files]
            lacks += [] if any(file.endswith(".safetensors") for file in files) else ["*.safetensors"]
            if lacks:
                yield fail("weights", f"{name}: {spec.path} has no {', '.join(lacks)}", "Save the model there: save_pretrained")
            else:
                yield ok("weights", f"{name}: {spec.path}, {_size(n_params(spec))}")
        elif spec.source == "wheel":
            made = "converted" if is_converted(spec) else "to be converted, once, in half a minute"
            yield ok("weights", f"{name}: {made}: {shown(weights.converted(spec))}, {_size(n_params(spec))}")


def wheel_models(params: Params) -> list[WheelModel]:
    return [spec for name in params.models if isinstance(spec := params.model_specs[name], WheelModel)]


def is_converted(spec: WheelModel) -> bool:
    from wor.sources import weights

    return weights.converted(spec).is_dir()


@functools.cache
def n_params(spec: ModelSpec) -> int | None:
    """A model's parameters; None before its files are here."""
    from wor.sources import weights

    try:
        if isinstance(spec, WheelModel) and not is_converted(spec):
            from gguf import GGUFReader

            path = wheels.find(spec.package, spec.version, spec.file, spec.sha256)
            return sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
        folder = hub.cached("model", spec) if spec.source == "hub" else weights.resolve(spec)
        return weights.n_params(folder) if folder else None
    except UserError:  # `sources` says it
        return None


def _size(n: int | None) -> str:
    return "of unknown size" if n is None else f"{n / 1e6:,.0f} million parameters"
