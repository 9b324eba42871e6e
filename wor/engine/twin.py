"""Make a control model: the same architecture with random weights, before any training."""

import copy

import torch
from transformers import AutoModelForCausalLM

from wor.engine import attention, memory, selftest
from wor.engine.model import LM


def random_twin(lm: LM, seed: int) -> LM:
    """Return a model of ``lm``'s configuration, initialised from ``seed`` and self-tested.

    It has ``lm``'s tokenizer, end tokens, device, dtype, and memory budget less its own weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # drawn on the CPU, so that the device does not matter
        hf = AutoModelForCausalLM.from_config(copy.deepcopy(lm.hf.config), attn_implementation=attention.NAME)
    hf.generation_config = copy.deepcopy(lm.hf.generation_config)
    hf = hf.to(device=lm.device, dtype=lm.dtype)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in hf.parameters())
    budget = max(memory.MIN_BUDGET, lm.memory - weights)
    twin = LM(hf, lm.tokenizer, budget, f"{lm.budget[1]}; less the twin's weights", lm.template)
    selftest.run_selftest(twin)
    return twin
