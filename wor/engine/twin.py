"""The same architecture with random weights: what a model's shape and its input give by themselves."""

from __future__ import annotations

import copy

import torch
from transformers import AutoModelForCausalLM

from wor.engine import attention, memory, selftest
from wor.engine.model import LM


def random_twin(lm: LM, seed: int) -> LM:
    """A model of ``lm``'s configuration, initialised as its architecture does, from ``seed`` alone; self-tested.

    Tokenizer, end tokens, device and dtype are those of ``lm``, the memory budget its own less the twin's weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # drawn on the CPU, so that a device changes nothing
        hf = AutoModelForCausalLM.from_config(copy.deepcopy(lm.hf.config), attn_implementation=attention.NAME)
    hf.generation_config = copy.deepcopy(lm.hf.generation_config)
    hf = hf.to(device=lm.device, dtype=lm.dtype)
    weights = sum(part.numel() * part.element_size() for part in hf.parameters())
    reason = f"{lm.budget[1]}; less the twin's weights"
    twin = LM(hf, lm.tokenizer, max(memory.MIN_BUDGET, lm.memory - weights), reason, lm.template)
    selftest.run_selftest(twin)
    return twin
