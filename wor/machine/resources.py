"""Estimate the bytes that a run needs of a machine: memory, files, outputs.

torch and transformers are imported late, so that `wor doctor` works without them.
"""

import functools

from wor.config.params import ModelSpec, Params, TruncatedModel, is_gguf
from wor.data import windows
from wor.errors import UserError

LIBRARIES = int(0.45 * 2**30)  # of a stage's process without a model; measured: 0.43
LAYERS, HEADS, MODEL_WIDTH = 36, 32, 2048  # at most, of SmolLM to SmolLM3, for a model that is not downloaded


@functools.cache
def known_n_params(spec: ModelSpec) -> int | None:
    """Return a model's number of parameters, or None if unknown. Uses no network.

    It comes from the configuration, else from the package's file. A model that is yet to be
    truncated from an unconverted file counts as the whole.
    """
    try:
        from wor.weights import families

        if config := families.find_config(spec):
            return families.count_config_parameters(config)
        if isinstance(spec, TruncatedModel):
            return known_n_params(spec.of)
        if is_gguf(spec):
            from wor.weights import folders, gguf_files

            return gguf_files.count_parameters(folders.gguf_path(spec))
    except (UserError, ModuleNotFoundError):  # `wor doctor` reports the file or the package
        pass
    return None


def weights_in_memory(parameters: int, dtype: str, null_models: int = 0) -> int:
    """Return the bytes of a model and its null models."""
    return parameters * (2 if dtype in ("bfloat16", "float16") else 4) * (1 + null_models)


def weights_on_disk(parameters: int) -> int:
    """Return the most bytes of a model that is downloaded, converted or truncated: float32."""
    return 4 * parameters


def output_bytes(params: Params, items: int, layers: int = LAYERS, heads: int = HEADS, model_width: int = MODEL_WIDTH) -> int:
    """Return the bytes that a stage writes of ``items`` items: arrays and table rows.

    Of the arrays in `pipeline.observation.array_shapes`, six of every layer and token, two of these
    in half precision, and norms of a quarter of the layers make the most.
    """
    width = windows.max_window_length(params.window, params.max_new_tokens)
    by_token = 5 * layers + layers // 2 + 11
    numbers = by_token * width + layers * heads + (params.paraphrase.n + 18) * (layers + 1) + model_width
    return items * (4 * numbers + 4000)


def observed_items(params: Params) -> int:
    """Return the most items that all stages of one model observe, with repetitions."""
    nulls, heads, designs = params.nulls, params.heads, params.designs
    at_temperatures = 2 * params.robustness.n * len(params.robustness.temperatures)
    study = sum(params.spec(name).n for name in params.datasets)
    by_null_models = len(nulls.kinds) * nulls.seeds * min(nulls.calibration + 2 * nulls.n, study)
    others = nulls.literal_n + 2 * (heads.n_rank + heads.n_test) + 4 * designs.n
    return study + at_temperatures + by_null_models + others
