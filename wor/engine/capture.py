"""Capture what happens inside the model during one forward pass, reduced while it runs."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache

from wor.engine import attention, unembed
from wor.engine.model import LM


@dataclass(frozen=True)
class Span:
    """A half-open range of token positions."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass
class CleanRun:
    """An undisturbed pass: W window positions, L layers, H heads, D width, K = Dh head width.

    Several sequences may share a pass (`capture_together`). Then W counts the positions of all of
    their windows, one window after the other, and the windows have the same width.

    windows : of each of the B sequences. ids : [B, longest], padded on the right.
    entropy : [L, H, W] attention entropy of each window query over its visible keys, nats.
    entropy_no_sink : [L, H, W] the same without the first key, renormalised.
    attention_squares : [L, H, W] sum of the query's squared attention weights, in (0, 1].
    visible : [L, W] number of keys that the query sees.
    hidden : [L + 1, W, D] residual stream; 0 is the embedding, L the last layer's output.
    attention_out, mlp_out : [L, W, D] what each component adds to the residual stream.
    head_out : [L, W, H, K] each head's output before the output projection.
    state : [L + 1, B, D] residual stream at one position, which need not be in the window.
    scores : [N] each, of the scored tokens, one sequence after the other.
    keys, values : per layer [B, KV, P, K], the KV cache of everything before the window, see
        `attention.Recorder`.
    """

    windows: Sequence[Span]
    ids: torch.Tensor
    entropy: torch.Tensor
    entropy_no_sink: torch.Tensor
    attention_squares: torch.Tensor
    visible: torch.Tensor
    hidden: torch.Tensor
    attention_out: torch.Tensor
    mlp_out: torch.Tensor
    head_out: torch.Tensor
    state: torch.Tensor
    scores: unembed.Scores
    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    def by_sequence(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``[..., W]`` with the windows of the B sequences apart: ``[B, ..., W / B]``."""
        return values.unflatten(-1, (len(self.windows), -1)).movedim(-2, 0)

    def resid_mid(self, layer: int) -> torch.Tensor:
        """Return the residual stream [W, D] after the layer's attention and before its MLP."""
        return self.hidden[layer] + self.attention_out[layer]


@contextmanager
def registered_hooks(*registrations: tuple[Callable, Callable]) -> Iterator[None]:
    """Register ``(register_method, hook)`` pairs. Remove every hook at exit and after an error."""
    with ExitStack() as handles:
        for register, hook in registrations:
            handles.enter_context(register(hook))
        yield


def token_ids(lm: LM, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return ``[N, longest]``, padded on the right, where causal attention never looks."""
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences], device=lm.device)


def capture(lm: LM, ids: Sequence[int], window: Span, scored_from: int | None = None, state_at: int = -1) -> CleanRun:
    """Run ``ids`` once, and return what `CleanRun` lists for the positions of ``window``.

    ``window`` may be empty. ``ids[scored_from:]`` is scored, except position 0; None scores none.
    ``state_at`` is the position of ``state``: the last, if not given.
    """
    return capture_together(lm, [ids], [window], scored_from, [state_at % len(ids)])


@torch.inference_mode()
def capture_together(
    lm: LM, sequences: Sequence[Sequence[int]], windows: Sequence[Span], scored_from: int | None, states_at: Sequence[int]
) -> CleanRun:
    """Run several sequences in one pass, as `capture` does one. Their windows have one width."""
    lengths, width = [*map(len, sequences)], len(windows[0])
    lm.require_context(max(lengths))
    tokens = token_ids(lm, sequences)
    outputs: defaultdict[str, list[torch.Tensor]] = defaultdict(list)
    final: list[torch.Tensor] = []
    starts, every = [window.start for window in windows], torch.arange(len(sequences), device=lm.device)
    positions = torch.tensor(starts, device=lm.device)[:, None] + torch.arange(width, device=lm.device)

    def in_windows(values: torch.Tensor) -> torch.Tensor:
        if len(sequences) == 1:
            return values[0, starts[0] : starts[0] + width]
        return values[every[:, None], positions].flatten(0, 1)

    def append_input(name: str) -> Callable:
        return lambda module, args: outputs[name].append(in_windows(args[0]).clone())

    def append_output(name: str, multiplier: float) -> Callable:
        return lambda module, args, out: outputs[name].append(in_windows(out if torch.is_tensor(out) else out[0]) * multiplier)

    def append_state(module: nn.Module, args: tuple) -> None:
        outputs["state"].append(args[0][every, states_at])

    registrations = [(lm.norm.register_forward_pre_hook, lambda module, args: final.append(args[0]))]
    for layer in lm.layers:
        registrations += [
            (layer.block.register_forward_pre_hook, append_input("hidden")),
            (layer.block.register_forward_pre_hook, append_state),
            (layer.projection.register_forward_pre_hook, append_input("head_out")),
            (layer.last_module("attention").register_forward_hook, append_output("attention_out", layer.multiplier)),
            (layer.last_module("mlp").register_forward_hook, append_output("mlp_out", layer.multiplier)),
        ]
    with attention.mode(attention.Recorder(starts, width)) as recorded, registered_hooks(*registrations):
        lm.base(tokens, use_cache=False)
    scored = [(row, length if scored_from is None else scored_from, length) for row, length in enumerate(lengths)]
    return CleanRun(
        windows=windows,
        ids=tokens,
        entropy=torch.stack(recorded.entropy),
        entropy_no_sink=torch.stack(recorded.no_sink),
        attention_squares=torch.stack(recorded.squares),
        visible=torch.stack(recorded.visible),
        hidden=torch.stack([*outputs["hidden"], in_windows(final[0])]),
        attention_out=torch.stack(outputs["attention_out"]),
        mlp_out=torch.stack(outputs["mlp_out"]),
        head_out=torch.stack(outputs["head_out"]).unflatten(-1, (lm.n_heads, lm.head_dim)),
        state=torch.stack([*outputs["state"], final[0][every, states_at]]),
        scores=unembed.score_targets(
            lm,
            torch.cat([final[0][row, first - 1 : end - 1] for row, first, end in scored]),
            torch.cat([tokens[row, first:end] for row, first, end in scored]),
        ),
        keys=recorded.keys,
        values=recorded.values,
    )


@torch.inference_mode()
def mean_beliefs(
    lm: LM, clean: CleanRun, sequences: Sequence[Sequence[int]], windows: Sequence[Span], prompts: Sequence[int] | None = None
) -> tuple[torch.Tensor, list[float]]:
    """Return the mean residual stream over each sequence's window: ``[N, L + 1, D]``, float32.

    They share a batch, and their windows have one width. A beginning that all share with the first
    sequence of ``clean`` (chat template) isn't recomputed. With ``prompts``, the lengths of the
    prompts, return also the mean log-probability (nats) of each prompt's tokens after the first.
    ``clean`` must then be scored from position 1.
    """
    lm.require_context(max(map(len, sequences)))
    limit = min(window.start for window in [clean.windows[0], *windows])
    shared = _shared_prefix_length([clean.ids[0].tolist(), *sequences], limit)
    if prompts:
        shared = max(0, shared - 1)  # the position before the first token that differs predicts it
    cache, means = DynamicCache(), []
    final: list[torch.Tensor] = []
    first = max(window.start for window in clean.windows) - clean.windows[0].start  # of its keys: others' are more
    for index, pair in enumerate(zip(clean.keys, clean.values, strict=True)):
        beginning = (tensor[:1, :, first : first + shared].expand(len(sequences), -1, -1, -1) for tensor in pair)
        cache.update(*beginning, index)
    rows = torch.arange(len(sequences), device=lm.device)[:, None]
    positions = torch.tensor([[*range(window.start - shared, window.end - shared)] for window in windows], device=lm.device)

    def on_input(module: nn.Module, args: tuple) -> None:
        means.append(args[0][rows, positions].float().mean(1))

    inputs = [*(layer.block for layer in lm.layers), lm.norm]
    registrations = [(module.register_forward_pre_hook, on_input) for module in inputs]
    registrations.append((lm.norm.register_forward_pre_hook, lambda module, args: final.append(args[0])))
    tokens = token_ids(lm, [ids[shared:] for ids in sequences])
    with registered_hooks(*registrations):
        lm.base(tokens, past_key_values=cache, use_cache=True)
    lengths = [length - shared for length in prompts or ()]  # of what is not shared
    log_probs: list[float] = []
    if lengths:
        hidden = torch.cat([states[: length - 1] for states, length in zip(final[0], lengths, strict=True)])
        targets = torch.cat([ids[1:length] for ids, length in zip(tokens, lengths, strict=True)])
        own = unembed.score_targets(lm, hidden, targets).log_prob.split([length - 1 for length in lengths])
        beginning = clean.scores.log_prob[:shared]
        log_probs = [torch.cat([beginning, part]).double().mean().item() for part in own]
    return torch.stack(means, dim=1), log_probs


def _shared_prefix_length(sequences: Sequence[Sequence[int]], limit: int) -> int:
    columns = zip(*sequences, strict=False)
    return next((index for index, column in enumerate(columns) if index == limit or len(set(column)) > 1), limit)
