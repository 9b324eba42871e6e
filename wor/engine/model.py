"""A language model with the handles that the engine needs: layers, heads, norm and unembedding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from wor.errors import UserError

SUPPORTED = ("LlamaForCausalLM",)


@dataclass(frozen=True)
class Placement:
    """Where and in what numbers a model computes, and why."""

    device: str
    dtype: str
    reason: str
    threads: int


def place(device: str = "auto", dtype: str = "auto", threads: int = 0) -> Placement:
    """Choose device, dtype and threads. ``auto`` takes an accelerator where there is one, and float32.

    Measures are differences of nearly equal distributions, so float32 is the default everywhere.
    """
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if have[name])
    elif not have[device]:
        raise UserError("compute.device", device, "This machine has none; set it to auto or cpu")
    reason = f"compute.dtype is {dtype}"
    if dtype == "auto":
        dtype, reason = "float32", "auto: KL and entropy differences are taken in full precision"
    threads = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    return Placement(device, dtype, reason, threads)


class LM:
    """A causal language model in evaluation mode, with eager attention.

    Parameters
    ----------
    hf : a transformers causal LM of a supported architecture.
    tokenizer : its tokenizer, or None where only token IDs go in.

    Notes
    -----
    Eager attention is asked for by name: the other backends give no attention rows, and transformers
    would otherwise choose one of them.
    """

    def __init__(self, hf: nn.Module, tokenizer=None):
        architecture = type(hf).__name__
        if architecture not in SUPPORTED:
            remedy = f"The engine knows where to intervene in {', '.join(SUPPORTED)} only"
            raise UserError("architecture", architecture, remedy)
        if hf.config._attn_implementation != "eager":
            raise UserError("attention", hf.config._attn_implementation, "Load the model with attn_implementation='eager'")
        self.hf, self.tokenizer = hf.eval().requires_grad_(False), tokenizer
        self.layers: Sequence[nn.Module] = hf.model.layers
        self.norm, self.unembed = hf.model.norm, hf.lm_head
        config = hf.config
        self.n_layers, self.n_heads = config.num_hidden_layers, config.num_attention_heads
        self.width, self.context = config.hidden_size, config.max_position_embeddings
        self.head_dim = getattr(config, "head_dim", None) or self.width // self.n_heads
        self.device = next(hf.parameters()).device
        self.dtype = next(hf.parameters()).dtype

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a continuation; they are not part of what was said."""
        ends = self.hf.generation_config.eos_token_id
        if ends is None:
            ends = self.hf.config.eos_token_id
        if ends is None:
            raise UserError("eos_token_id", None, "Name the token that ends a continuation in the model's config.json")
        return frozenset(ends if isinstance(ends, list) else [ends])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Residual stream -> final norm -> unembedding, in float32 at least. ``[..., D] -> [..., V]``."""
        logits = self.unembed(self.norm(hidden))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def render(self, prompt: str) -> str:
        """The prompt in the model's chat template, or as it is when the model has none."""
        if self.tokenizer.chat_template is None:
            return prompt + "\n\n"
        turns = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def encode_prompt(self, prompt: str, room: int, name: str) -> list[int]:
        """Token IDs of the rendered prompt; refused when ``room`` more tokens would not fit the context."""
        ids = self.encode(self.render(prompt))
        if len(ids) + room > self.context:
            remedy = f"The context holds {self.context}: shorten the item, or lower max_new_tokens ({room})"
            raise UserError(name, f"prompt has {len(ids)} tokens", remedy)
        return ids


def load(folder: Path, placement: Placement) -> LM:
    """Load safetensors weights from ``folder``, without any code that the folder may hold."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    architecture = (AutoConfig.from_pretrained(folder, trust_remote_code=False).architectures or ["unknown"])[0]
    if architecture not in SUPPORTED:
        raise UserError("architecture", architecture, f"The engine knows where to intervene in {', '.join(SUPPORTED)} only")
    hf = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, placement.dtype),
        attn_implementation="eager",
        use_safetensors=True,
        trust_remote_code=False,
    )
    return LM(hf.to(placement.device), AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
