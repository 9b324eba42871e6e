"""Continuations whose tokens depend on the item alone: not on batch size, order or sharding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import nn
from transformers import Cache, LogitsProcessor, LogitsProcessorList, PretrainedConfig
from transformers.cache_utils import DynamicLayer

from wor.engine import architectures, cost, memory
from wor.engine.capture import registered_hooks
from wor.engine.model import LM
from wor.engine.seeding import generator_for

SMALLEST_UNIFORM = 2.0**-53  # of a uniform draw: 0 itself would be infinite noise
_WORKERS = ThreadPoolExecutor()  # numpy draws outside Python's lock


def gumbel(seed: int, name: str, step: int, size: int) -> np.ndarray:
    """``size`` standard Gumbel draws that depend on ``(seed, name, step)`` alone: numpy's own, in a third of the time."""
    uniform = generator_for(seed, name, step).random(size)
    return -np.log(-np.log(1 - np.maximum(uniform, SMALLEST_UNIFORM))).astype(np.float32)


class KeyedNoise(LogitsProcessor):
    """Sampling at a temperature as greedy decoding over noisy logits (the Gumbel-max identity).

    argmax(logits / T + g), with g standard Gumbel, is a draw from softmax(logits / T). Each row has a
    temperature of its own, and noise keyed by its item and its step, so the row's neighbours cannot change
    it. T = 0 adds none.
    """

    def __init__(
        self,
        seed: int,
        names: Sequence[str],
        temperatures: Sequence[float],
        prompt_length: int,
        on_step: Callable[[], None] = lambda: None,
    ):
        self.seed, self.start, self.on_step = seed, prompt_length, on_step
        self.warm = [(row, name) for row, (name, warmth) in enumerate(zip(names, temperatures, strict=True)) if warmth > 0]
        self.scale = torch.tensor([[warmth] for warmth in temperatures if warmth > 0])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.on_step()
        if not self.warm:
            return scores
        step, size = input_ids.shape[1] - self.start, scores.shape[1]
        noise = np.stack(list(_WORKERS.map(lambda one: gumbel(self.seed, one[1], step, size), self.warm)))
        rows = [row for row, _ in self.warm]
        scores = scores.float()
        scores[rows] = scores[rows] / self.scale.to(scores.device) + torch.from_numpy(noise).to(scores.device)
        return scores


class PreallocatedLayer(DynamicLayer):
    """A layer's keys and values with room for every token to come, so that a step does not copy all that were before."""

    def __init__(self, room: int):
        super().__init__()
        self.room = room

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """New [B, KV, T, Dh] after those that are there; all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.whole = [part.new_empty(*part.shape[:2], self.room, part.shape[3]) for part in (key_states, value_states)]
        first = self.get_seq_length()
        end = first + key_states.shape[2]
        for whole, new in zip(self.whole, (key_states, value_states), strict=True):
            whole[:, :, first:end] = new
        self.keys, self.values = (whole[:, :, :end] for whole in self.whole)
        return self.keys, self.values


@torch.inference_mode()
def generate(
    lm: LM,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    temperatures: Sequence[float],
    max_new_tokens: int,
    seed: int,
    most: int = 32,
    advance: Callable[[float], None] = lambda done: None,
) -> list[list[int]]:
    """Continue each prompt at its temperature. Returns token IDs in the order given, end tokens kept.

    Prompts of like length share a batch, padded on the left: ``most`` of them, or what ``lm.memory`` holds.
    Where memory runs out, batches halve. ``advance`` is called at each layer of the prompts' pass and at each token
    after it, with the share of the prompts that it brings done, as `cost` counts.
    """
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), names[index]))
    pad = min(lm.end_tokens)
    found: list[list[int]] = [[] for _ in prompts]

    def continue_batch(group: slice) -> None:
        chosen = order[group]
        longest = max(len(prompts[index]) for index in chosen)
        ids = torch.full((len(chosen), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, index in enumerate(chosen):
            ids[row, longest - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask[row, longest - len(prompts[index]) :] = 1
        step, sent = cost.step(len(chosen)), 0.0
        whole = len(chosen) * longest + (max_new_tokens - 1) * step  # the prompts' pass gives the first token

        def send(passed: float) -> None:
            nonlocal sent
            share = len(chosen) * passed / whole
            sent += share
            advance(share)

        def on_layer(module: nn.Module, args: tuple) -> None:
            if args[0].shape[1] > 1:
                send(len(chosen) * longest / lm.n_layers)

        tokens = count()
        at = [temperatures[index] for index in chosen]
        noise = KeyedNoise(seed, [names[index] for index in chosen], at, longest, lambda: next(tokens) and send(step))
        try:
            with registered_hooks(*((layer.block.register_forward_pre_hook, on_layer) for layer in lm.layers)):
                out = lm.hf.generate(
                    input_ids=ids.to(lm.device),
                    attention_mask=mask.to(lm.device),
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    pad_token_id=pad,
                    logits_processor=LogitsProcessorList([noise]),
                    past_key_values=Cache(layer_class_to_replicate=partial(PreallocatedLayer, longest + max_new_tokens)),
                )
        except BaseException:
            advance(-sent)  # the batch is begun again, in halves
            raise
        for row, index in enumerate(chosen):
            found[index] = _until_end(out[row, longest:].tolist(), lm.end_tokens)
        advance(len(chosen) - sent)  # a batch may end early

    longest = max(map(len, prompts), default=0) + max_new_tokens
    a_row = bytes_per_row(lm.hf.config, longest, torch.finfo(lm.dtype).bits // 8)
    memory.run_in_batches(lm, "generate", len(prompts), a_row, continue_batch, most)
    return found


def bytes_per_row(config: PretrainedConfig, length: int, size: int) -> int:
    """A sequence's keys and values of ``size`` bytes each, as much for its prompt's pass, and its logits while noised."""
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return (
        2 * 2 * config.num_hidden_layers * kv_heads * architectures.head_dim(config) * length * size + 4 * 4 * config.vocab_size
    )


def _until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids
