"""Load a model from a folder of weights onto this machine, and self-test it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from wor.engine import architectures, attention, selftest
from wor.engine.model import LM
from wor.errors import UserError


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


def load(folder: Path, placement: Placement, template: str = "{prompt}\n\n") -> LM:
    """Load safetensors weights, run no code, and self-test the model. For ``template`` see `LM`."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    options = {"trust_remote_code": False}
    config = AutoConfig.from_pretrained(folder, **options)
    architectures.require_supported((config.architectures or ["unknown"])[0], config)
    hf = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, placement.dtype), attn_implementation=attention.NAME, use_safetensors=True, **options
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    lm = LM(hf.to(placement.device), tokenizer, template=template)
    selftest.run_selftest(lm)
    return lm
