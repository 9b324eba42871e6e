"""Make null models: networks of the same architecture that know less than the trained one.

Each rung of the ladder takes less from the model than the one after it:

    initialised               drawn as before any training. Attention is uniform to four digits
    permuted                  every tensor keeps the values that training gave it, in random order
    permuted_embeddings_kept  the same, with embeddings, unembedding and norms as they are

A permuted tensor has the distribution of the trained weights, and nothing of what they compute.
Its singular values are not kept. Biases and norms are permuted as vectors, each within itself. A
matrix that holds several projections (query, key and value of GPT-2, GPT-NeoX and Phi-3) is one
tensor.
"""

import copy
from typing import Literal, get_args

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from wor.engine import attention, memory, selftest
from wor.engine.model import LM
from wor.engine.seeding import generator_for

NullKind = Literal["initialised", "permuted", "permuted_embeddings_kept"]
NULL_KINDS: tuple[NullKind, ...] = get_args(NullKind)
NullModel = tuple[NullKind, int]  # kind and seed: all that it is drawn by


def make_null_model(lm: LM, kind: NullKind, seed: int) -> LM:
    """Return the null model of ``lm`` that ``kind`` and ``seed`` determine, self-tested.

    All is drawn on the CPU, so that the device does not matter. Tied embeddings stay tied. It has
    ``lm``'s tokenizer, end tokens, device, dtype, and memory budget less its own weights.
    """
    hf = _initialised(lm, seed) if kind == "initialised" else _permuted(lm, seed, keep=kind == "permuted_embeddings_kept")
    weights = sum(tensor.numel() * tensor.element_size() for tensor in hf.parameters())
    budget = max(memory.MIN_BUDGET, lm.memory - weights)
    null = LM(hf, lm.tokenizer, budget, f"{lm.budget[1]}; less the null model's weights")
    selftest.run_selftest(null)
    return null


def _initialised(lm: LM, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = AutoModelForCausalLM.from_config(copy.deepcopy(lm.hf.config), attn_implementation=attention.NAME)
    hf.generation_config = copy.deepcopy(lm.hf.generation_config)
    return hf.to(device=lm.device, dtype=lm.dtype)


def _permuted(lm: LM, seed: int, keep: bool) -> nn.Module:
    hf = copy.deepcopy(lm.hf)
    kept = _embeddings_and_norms(hf) if keep else set()
    for name, tensor in hf.named_parameters():  # a tied tensor comes once
        if id(tensor) not in kept:
            generator = torch.Generator().manual_seed(int(generator_for(seed, name).integers(2**63)))
            order = torch.randperm(tensor.numel(), generator=generator)
            tensor.data.copy_(tensor.data.cpu().flatten()[order].view(tensor.shape))
    return hf


def _embeddings_and_norms(hf: nn.Module) -> set[int]:
    modules = [hf.get_output_embeddings()]
    modules += [part for part in hf.modules() if isinstance(part, nn.Embedding) or type(part).__name__.endswith("Norm")]
    return {id(tensor) for part in modules for tensor in part.parameters()}
