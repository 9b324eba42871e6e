"""What a run needs of a machine, in bytes: memory, files, outputs. `wor plan` and `wor doctor` both use it.

torch and transformers are imported where they are used: `wor doctor` is also for where they are missing.
"""

from __future__ import annotations

import functools

from wor.config.params import HubModel, ModelSpec, Params, TruncatedModel, WheelModel
from wor.data import windows
from wor.errors import UserError
from wor.weights import wheels

LIBRARIES = int(0.45 * 2**30)  # of a stage's process before it has a model; seen: 0.43
LAYERS, HEADS = 32, 32  # of a model that may not be here yet: SmolLM and SmolLM2 have no more


@functools.cache
def n_params(spec: ModelSpec) -> int | None:
    """A model's parameters; None where they are not known before its files are here. Writes nothing, asks nobody.

    By its files; a hub's model that is not here as its family is published; one that is still to be cut as the whole.
    """
    from wor.weights import identity_card

    try:
        if folder := identity_card.find_folder(spec):
            return identity_card.count_parameters(folder)
        if isinstance(spec, TruncatedModel):
            return n_params(spec.of)
        if isinstance(spec, WheelModel):
            from gguf import GGUFReader

            path = wheels.find_file(spec.package, spec.version, spec.file, spec.sha256)
            return sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
        if isinstance(spec, HubModel):
            from wor.weights import families

            config = families.known_config(spec.repo)
            return config and families.count_config_parameters(config)
    except (UserError, ModuleNotFoundError):  # `wor doctor` says it of the file or the package
        pass
    return None


def weights_in_memory(parameters: int, dtype: str, twins: int = 0) -> int:
    """A model and its twins. These begin in the model's own dtype, which is in its configuration."""
    return parameters * (2 if dtype in ("bfloat16", "float16") else 4) * (1 + twins)


def weights_on_disk(parameters: int) -> int:
    """A model that is downloaded, converted or cut: at most, as float32."""
    return 4 * parameters


def output_bytes(params: Params, items: int, layers: int = LAYERS, heads: int = HEADS) -> int:
    """What a stage writes of so many items: float32 arrays and a row of a table each."""
    width = windows.max_window_length(params.window, params.max_new_tokens)
    numbers = 4 * layers * width + layers * heads + params.paraphrase.n * (layers + 1)
    return items * (4 * numbers + 4000)


def observed_items(params: Params) -> int:
    """Items at most that all stages of one model observe, each as often as it is."""
    nulls, heads = params.nulls, params.heads
    warm = params.robustness.n * len(params.robustness.temperatures) * len(params.datasets)
    apart = nulls.literal_n + nulls.twin_calibration + 2 * nulls.twin_n + 2 * (heads.n_rank + heads.n_test)
    return sum(params.spec(name).n for name in params.datasets) + warm + apart
