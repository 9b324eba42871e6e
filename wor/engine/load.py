"""A model from a folder of weights, placed on this machine and held against its self-test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from wor.engine import architectures, attention, selftest
from wor.engine.model import LM
from wor.errors import UserError


@dataclass(frozen=True)
class Placement:
    """Where and in what numbers a model computes, and why."""

    device: str
    dtype: str
    dtype_reason: str
    threads: int


def choose_device(device: str = "auto", dtype: str = "auto", threads: int = 0) -> Placement:
    """Choose device, dtype and threads. ``auto`` takes an accelerator where there is one, and float32.

    Measures are differences of nearly equal distributions, so float32 is the default also where bfloat16
    would be faster; the reason says whether it would.
    """
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if have[name])
    elif not have[device]:
        raise UserError("compute.device", device, "This machine has none; set it to auto or cpu")
    reason = f"compute.dtype is {dtype}"
    if dtype == "auto":
        dtype, reason = "float32", "auto: KL and entropy differences are taken in full precision"
        reason += f"; bfloat16 is {'faster' if has_fast_bfloat16(device) else 'no faster'} here"
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    return Placement(device, dtype, reason, threads)


def has_fast_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; elsewhere it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def load(folder: Path, placement: Placement, template: str = "{prompt}\n\n") -> LM:
    """Load safetensors weights from ``folder``, without any code that it may hold, and self-test the model.

    ``template`` is for a model without a chat template; see LM.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    architectures.require_supported((config.architectures or ["unknown"])[0], config)
    hf = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, placement.dtype),
        attn_implementation=attention.NAME,
        use_safetensors=True,
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    hf = hf.to(placement.device)
    lm = LM(hf, tokenizer, template=template)
    selftest.run_selftest(lm)
    return lm
