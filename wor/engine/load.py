"""Load a model from a folder of weights onto this machine, and self-test it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from wor.engine import architectures, attention, selftest
from wor.engine.model import LM
from wor.engine.text import TEMPLATE, PromptTokenizer
from wor.errors import UserError

_NOT_TAKEN = "Correct it, or take a fresh copy of the model, or another model"
Result = TypeVar("Result")
_NAMED, _MAX_REASON = 4, 200  # tensors, and characters, that a message shows


@dataclass(frozen=True)
class Placement:
    """The device, dtype and threads that a model computes with."""

    device: str
    dtype: str
    dtype_reason: str
    threads: int


def choose_device(device: str = "auto", dtype: str = "auto", threads: int = 0) -> Placement:
    """Choose device, dtype and threads. ``auto`` means an accelerator if there is one, and float32.

    ``threads`` 0 keeps torch's own number. Measures compare nearly equal distributions, so float32.
    The reason says if bfloat16 is faster.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif not available[device]:
        raise UserError("compute.device", device, "This machine has none. Set it to auto or cpu")
    reason = f"compute.dtype is {dtype}"
    if dtype == "auto":
        dtype, reason = "float32", "auto: KL and entropy differences are taken in full precision"
        reason += f"; bfloat16 is {'faster' if has_fast_bfloat16(device) else 'no faster'} here"
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    return Placement(device, dtype, reason, threads)


def has_fast_bfloat16(device: str) -> bool:
    """Return whether the device multiplies bfloat16 in hardware. Otherwise float32 is faster."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return capabilities.get("avx512_bf16", False) or capabilities.get("amx_tile", False)
    return False


def is_emulated(placement: Placement) -> bool:
    """Return whether a CPU multiplies the dtype without hardware for it, slower than float32."""
    return placement.device == "cpu" and placement.dtype != "float32" and not has_fast_bfloat16("cpu")


def load(
    folder: Path,
    placement: Placement,
    template: str = TEMPLATE,
    begin_token: bool | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> LM:
    """Load safetensors weights, run no code, and self-test the model.

    For the last three see `PromptTokenizer`. Raises UserError for a model that the engine cannot
    run, and for files that disagree: no weight is ever drawn at random.
    """
    config = read_config(folder)
    hf = _load_weights(config, folder, dtype=getattr(torch, placement.dtype), use_safetensors=True)
    is_tied = hf.get_output_embeddings().weight is hf.get_input_embeddings().weight
    if getattr(config, "tie_word_embeddings", False) and not is_tied:
        value = "tie_word_embeddings is true, and the file's unembedding is not its embedding"
        raise UserError(folder, value, "Set tie_word_embeddings: false in config.json to use both, or save the model again")
    tokenizer = read_tokenizer(folder, template, begin_token, chat_template_kwargs)
    _require_vocabulary(hf, tokenizer)
    lm = LM(hf.to(placement.device), tokenizer)
    selftest.run_selftest(lm)
    return lm


def outline(
    folder: Path,
    shapes: Mapping[str, Sequence[int]],
    begin_token: bool | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> LM:
    """Return the model of ``folder`` without its weights, on the meta device.

    ``shapes`` are those of the tensors in its files, by name. Refuses whatever `load` refuses, in a
    second and for a model of any size, but for what depends on the weights' values.
    """
    from transformers import GenerationConfig

    config = read_config(folder)
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    hf = _attempt(lambda: _load_weights(config, None, state_dict=tensors, device_map="meta"), folder / "config.json")
    hf.tie_weights()  # transformers cannot compare values here, and would leave them apart
    if (path := folder / "generation_config.json").is_file():
        hf.generation_config = _attempt(lambda: GenerationConfig.from_pretrained(folder), path)
    tokenizer = read_tokenizer(folder, TEMPLATE, begin_token, chat_template_kwargs)
    _require_vocabulary(hf, tokenizer)
    lm = LM(hf, tokenizer)
    _ = lm.end_tokens  # refuses a model without any
    return lm


def read_config(folder: Path):
    """Return a model's configuration. Raises UserError for one that the engine cannot run."""
    from transformers import MODEL_MAPPING, AutoConfig

    path = folder / "config.json"
    config = _attempt(lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False), path)
    if hasattr(config, "quantization_config"):
        method = (config.quantization_config or {}).get("quant_method")
        raise UserError(path, f"quantization_config names {method}: quantised weights", "Take them in float32 or float16")
    architecture = (config.architectures or ["unknown"])[0]
    model, base = _model_class(config), MODEL_MAPPING.get(type(config), None)
    if model and base and architecture == base.__name__:
        raise UserError(path, f"{architecture} has no unembedding", f"Save it as {model.__name__}, which has one")
    architectures.require_supported(architecture, config)
    if (context := architectures.context(config)) < selftest.LENGTH:
        raise UserError(path, f"max_position_embeddings is {context}", f"Write the trained context, {selftest.LENGTH} at least")
    if model is None or model.__name__ != architecture:
        raise UserError(path, f"model_type {config.model_type} is not of {architecture}", "Correct model_type or architectures")
    return config


def _model_class(config):
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)


def read_tokenizer(
    folder: Path,
    template: str = TEMPLATE,
    begin_token: bool | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> PromptTokenizer:
    """Return the tokenizer of a model's folder. See `PromptTokenizer`."""
    from transformers import AutoTokenizer

    hf = _attempt(lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False), folder / "tokenizer.json")
    return PromptTokenizer(hf, template, begin_token, chat_template_kwargs)


def _load_weights(config, folder: Path | None, **options):
    hf, report = _model_class(config).from_pretrained(
        folder,
        config=config,
        attn_implementation=attention.NAME,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        output_loading_info=True,
        **options,
    )
    sizes = [f"{name} ({_size(found)}, not {_size(expected)})" for name, found, expected in report["mismatched_keys"]]
    remedies = {
        "lacks": (report["missing_keys"], "Save the whole model again with save_pretrained, or correct config.json"),
        "has no place for": (report["unexpected_keys"], "Correct config.json, or save the model again with save_pretrained"),
        "has another size of": (sizes, "Correct the sizes in config.json, or save the model again with save_pretrained"),
    }
    for fault, (names, remedy) in remedies.items():
        if names:
            if set(names) == {"lm_head.weight"} and fault == "lacks":
                remedy = "Set tie_word_embeddings: true in config.json if the model's embeddings are tied, else save it again"
            raise UserError("weights", f"the file {fault} {_list(names)}", remedy)
    return hf


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _list(names: Collection[str]) -> str:
    first = sorted(names)[:_NAMED]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")


def _attempt(read: Callable[[], Result], path: Path) -> Result:
    """Call transformers on what ``path`` says. Its errors have no common base."""
    try:
        return read()
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}..."
        raise UserError(path, f"transformers does not take it ({reason})", _NOT_TAKEN) from None


def _require_vocabulary(hf, tokenizer: PromptTokenizer) -> None:
    """Raise UserError for a tokenizer with more tokens than the model has embeddings."""
    rows = hf.get_output_embeddings().weight.shape[0]
    token, last = max(tokenizer.hf.get_vocab().items(), key=lambda entry: entry[1])
    if last >= rows:
        value = f"token {token!r} has ID {last}, and the model has {rows} embeddings"
        raise UserError("tokenizer", value, "Take the model's own tokenizer, or resize its embeddings and save it")
