"""Generate continuations that depend on the item alone, not on batch size, order or sharding."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, LogitsProcessor, LogitsProcessorList, PretrainedConfig
from transformers.cache_utils import DynamicLayer

from wor.engine import architectures, cost, memory
from wor.engine.capture import registered_hooks
from wor.engine.model import LM
from wor.engine.parallel import deal_rows, in_order, map_items
from wor.engine.seeding import generator_for

SMALLEST_UNIFORM = 2.0**-53  # a uniform draw of 0 would be infinite noise
_WORKERS = ThreadPoolExecutor()  # numpy draws without Python's lock


def gumbel(seed: int, name: str, step: int, size: int) -> np.ndarray:
    """Return ``size`` standard Gumbel draws that depend on ``(seed, name, step)`` alone."""
    # Three times as fast as numpy's own gumbel.
    uniform = generator_for(seed, name, step).random(size)
    return -np.log(-np.log(1 - np.maximum(uniform, SMALLEST_UNIFORM))).astype(np.float32)


class KeyedNoise(LogitsProcessor):
    """Sample at a temperature by greedy decoding of noisy logits (the Gumbel-max identity).

    argmax(logits / T + g), with g standard Gumbel, is a draw from softmax(logits / T). Each row has
    its own temperature, and noise that depends on its name and step only. T = 0 adds none.
    """

    def __init__(
        self, seed: int, names: Sequence[str], temperatures: Sequence[float], prompt_length: int, on_step: Callable[[], None]
    ):
        self.seed, self.prompt_length, self.on_step = seed, prompt_length, on_step
        self.rows = [row for row, temperature in enumerate(temperatures) if temperature > 0]
        self.names = [names[row] for row in self.rows]
        self.scale = torch.tensor([[temperatures[row]] for row in self.rows])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        step, size = input_ids.shape[1] - self.prompt_length, scores.shape[1]
        if step:  # the first token comes from the prompts' pass
            self.on_step()
        if not self.rows:
            return scores
        noise = torch.from_numpy(np.stack(list(_WORKERS.map(lambda name: gumbel(self.seed, name, step, size), self.names))))
        scores = scores.float()
        scores[self.rows] = scores[self.rows] / self.scale.to(scores.device) + noise.to(scores.device)
        return scores


class PreallocatedLayer(DynamicLayer):
    """A layer's keys and values in buffers of full length, so that no step copies earlier ones."""

    def __init__(self, max_length: int):
        super().__init__()
        self.max_length = max_length

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new keys and values [B, KV, T, Dh], and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers = [new.new_empty(*new.shape[:2], self.max_length, new.shape[3]) for new in (key_states, value_states)]
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values


def generate(
    lm: LM,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    temperatures: Sequence[float],
    max_new_tokens: int,
    seed: int,
    max_batch_size: int = 32,
    advance: Callable[[float], None] = lambda done: None,
) -> list[list[int]]:
    """Continue each prompt at its temperature. Return token IDs in order, end tokens included.

    Prompts of similar length share a batch, padded on the left, which ``lm.memory`` must hold. A
    batch that runs out of memory is begun again in halves. ``advance`` receives the additional
    share of prompts done, as `cost` counts, after each layer of their pass and each later token. It
    is called from one thread at a time.

    On a CPU the prompts are dealt to groups that run at once. A step of one batch on all threads
    would wait at every product for the slowest thread: for another program, where there is one.
    """
    lm.require_context(max(map(len, prompts), default=0), max_new_tokens)
    groups, lock = deal_rows(lm, list(zip(map(len, prompts), names, strict=True))), Lock()

    def advance_alone(done: float) -> None:
        with lock:
            advance(done)

    def continue_group(lm: LM, group: list[int]) -> list[list[int]]:
        rows = ([values[index] for index in group] for values in (prompts, names, temperatures))
        return _continue(lm, *rows, max_new_tokens, seed, max_batch_size, advance_alone)

    if len(groups) == 1:
        return in_order(groups, [continue_group(lm, groups[0])])
    threads = torch.get_num_threads() // len(groups)
    return in_order(groups, map_items(lm, continue_group, groups, lambda: None, threads))


@torch.inference_mode()
def _continue(
    lm: LM,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    temperatures: Sequence[float],
    max_new_tokens: int,
    seed: int,
    max_batch_size: int,
    advance: Callable[[float], None],
) -> list[list[int]]:
    """Continue prompts that are ordered by length, in batches, on this thread's model."""
    pad = min(lm.end_tokens)
    pad_left = partial(pad_sequence, batch_first=True, padding_side="left")
    continuations: list[list[int]] = [[] for _ in prompts]

    def continue_batch(batch: slice) -> None:
        indices = range(len(prompts))[batch]
        longest = max(len(prompts[index]) for index in indices)
        ids = pad_left([torch.tensor(prompts[index]) for index in indices], padding_value=pad)
        mask = pad_left([torch.ones(len(prompts[index]), dtype=torch.long) for index in indices])
        prompt_cost, step_cost = len(indices) * longest, cost.step(len(indices))
        total_cost = prompt_cost + (max_new_tokens - 1) * step_cost  # the prompts' pass gives the first token
        sent = 0.0

        def send(passed: float) -> None:
            nonlocal sent
            share = len(indices) * passed / total_cost
            sent += share
            advance(share)

        def on_layer(module: nn.Module, args: tuple) -> None:
            if args[0].shape[1] > 1:
                send(prompt_cost / lm.n_layers)

        hooks: list[tuple[Callable, Callable]] = [(layer.block.register_forward_pre_hook, on_layer) for layer in lm.layers]
        if lm.dtype == torch.bfloat16:
            # For the last positions of longer rows, a CPU would copy the unembedding once per row.
            hooks.append((lm.unembed.register_forward_pre_hook, lambda module, args: (args[0].contiguous(),)))
        noise = KeyedNoise(
            seed, [names[i] for i in indices], [temperatures[i] for i in indices], longest, lambda: send(step_cost)
        )
        try:
            with registered_hooks(*hooks):
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
        for index, row in zip(indices, out[:, longest:].tolist(), strict=True):
            length = next((end for end, token in enumerate(row, 1) if token in lm.end_tokens), len(row))
            continuations[index] = row[:length]
        advance(len(indices) - sent)  # a batch may end early

    longest_prompt = max(map(len, prompts), default=0)
    size = bytes_per_row(lm.hf.config, longest_prompt + max_new_tokens, torch.finfo(lm.dtype).bits // 8)
    memory.run_in_batches(lm, "generate", len(prompts), size, continue_batch, max_batch_size)
    return continuations


def bytes_per_row(config: PretrainedConfig, length: int, size: int) -> int:
    """Return the bytes for generating a sequence of ``length`` tokens, at ``size`` bytes a number.

    It counts keys and values, as much for the prompt's pass, and the logits while noise is added.
    """
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * 2 * config.num_hidden_layers * kv_heads * architectures.head_dim(config) * length * size + 16 * config.vocab_size
