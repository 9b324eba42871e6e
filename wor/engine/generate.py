"""Continuations whose tokens depend on the item alone: not on batch size, order or sharding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from wor.engine.model import LM


def gumbel(seed: int, name: str, step: int, size: int) -> np.ndarray:
    """``size`` standard Gumbel draws that depend on ``(seed, name, step)`` alone."""
    key = int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:16], "big")
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, step, 0]))
    return generator.gumbel(size=size).astype(np.float32)


class KeyedNoise(LogitsProcessor):
    """Sampling at a temperature as greedy decoding over noisy logits (the Gumbel-max identity).

    argmax(logits / T + g), with g standard Gumbel, is a draw from softmax(logits / T). The noise of a
    row is keyed by its item and its step, so the row's neighbours cannot change it. T = 0 adds none.
    """

    def __init__(
        self,
        seed: int,
        names: Sequence[str],
        temperature: float,
        prompt_length: int,
        on_step: Callable[[], None] = lambda: None,
    ):
        self.seed, self.names, self.temperature, self.start = seed, names, temperature, prompt_length
        self.on_step = on_step

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.on_step()
        if self.temperature == 0:
            return scores
        step = input_ids.shape[1] - self.start
        noise = np.stack([gumbel(self.seed, name, step, scores.shape[1]) for name in self.names])
        return scores.float() / self.temperature + torch.from_numpy(noise).to(scores.device)


@torch.inference_mode()
def generate(
    lm: LM,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    batch_size: int = 8,
    advance: Callable[[float], None] = lambda done: None,
) -> list[list[int]]:
    """Continue each prompt. Returns token IDs in the order given, end tokens kept.

    Prompts of like length share a batch and are padded on the left. ``advance`` is called at each token
    with the share of the prompts that it brings done.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    continuations: list[list[int]] = [[] for _ in prompts]
    pad = min(lm.end_tokens)
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        longest = max(len(prompts[index]) for index in chosen)
        ids = torch.full((len(chosen), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, index in enumerate(chosen):
            length = len(prompts[index])
            ids[row, longest - length :] = torch.tensor(prompts[index])
            mask[row, longest - length :] = 1
        step = len(chosen) / max_new_tokens
        steps = 0

        def on_step(step: float = step) -> None:
            nonlocal steps
            steps += 1
            advance(step)

        noise = KeyedNoise(seed, [names[index] for index in chosen], temperature, longest, on_step)
        out = lm.hf.generate(
            input_ids=ids.to(lm.device),
            attention_mask=mask.to(lm.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=pad,
            logits_processor=LogitsProcessorList([noise]),
        )
        for row, index in enumerate(chosen):
            continuations[index] = _until_end(out[row, longest:].tolist(), lm.end_tokens)
        advance(len(chosen) - steps * step)  # a batch may end early
    return continuations


def _until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids
