"""One item through the model: everything that the measures need, as small arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wor.engine import ablate, lens
from wor.engine.capture import Span, beliefs, capture, log_probs
from wor.engine.model import LM


@dataclass(frozen=True)
class Means:
    """What replaces a part of the model, and what beliefs are centred on: means over calibration controls.

    mlp : [L, D] MLP output. head : [L, H, Dh] head output before the projection. belief : [L + 1, D].
    """

    mlp: torch.Tensor
    head: torch.Tensor
    belief: torch.Tensor


@dataclass(frozen=True)
class Continued:
    """A prompt with the model's continuation, and the window within the continuation."""

    prompt: list[int]
    continuation: list[int]
    start: int
    end: int

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.continuation

    @property
    def ids_to_window(self) -> list[int]:
        """Everything up to the window's end: nothing after it can change the window's hidden states."""
        return self.prompt + self.continuation[: self.end]

    @property
    def window(self) -> Span:
        return Span(len(self.prompt) + self.start, len(self.prompt) + self.end)


class Fluency(NamedTuple):
    """Mean log-probability at temperature 1; NaN over no tokens. The prompt's first token has none."""

    continuation: float
    prompt: float


def window_means(lm: LM, cases: Sequence[Continued], advance=lambda: None) -> Means:
    """Means over all window positions of ``cases``, each position with the same weight."""
    mlp = torch.zeros(lm.n_layers, lm.width, dtype=torch.float64)
    head = torch.zeros(lm.n_layers, lm.n_heads, lm.head_dim, dtype=torch.float64)
    belief = torch.zeros(lm.n_layers + 1, lm.width, dtype=torch.float64)
    positions = 0
    for case in cases:
        clean = capture(lm, case.ids_to_window, case.window)
        mlp += clean.mlp_out.cpu().double().sum(1)
        head += clean.head_out.cpu().double().sum(1)
        belief += clean.hidden.cpu().double().sum(1)
        positions += len(case.window)
        advance()
    return Means(*((total / positions).float() for total in (mlp, head, belief)))


def observe(lm: LM, case: Continued, paraphrases: Sequence[list[int]], means: Means) -> tuple[dict[str, np.ndarray], Fluency]:
    """What one item showed. W window positions, L layers, H heads, P paraphrases.

    Returns
    -------
    The item's fluency, and these arrays:

    entropy, entropy_no_sink : [L, W] attention entropy in nats, mean over heads.
    entropy_heads : [L, H] entropy / log(visible keys), mean over the window, in [0, 1].
    kl : [L, W] KL(clean || this layer's MLP mean-ablated), nats.
    jsd : [L, W] logit-lens divergence from the final layer, bits.
    cosine : [P, L + 1] cosine between the centred window means of item and paraphrase.
    """
    clean = capture(lm, case.ids, case.window, scored_from=1)
    visible = torch.arange(clean.window.start, clean.window.end, device=lm.device) + 1
    cosine = torch.zeros(0, lm.n_layers + 1)
    if paraphrases:
        own = clean.hidden.float().mean(1) - means.belief.to(lm.device)
        others = [Continued(prompt, case.continuation, case.start, case.end) for prompt in paraphrases]
        theirs = beliefs(lm, [other.ids_to_window for other in others], [other.window for other in others])
        cosine = torch.cosine_similarity(own, theirs - means.belief.to(lm.device), dim=-1)
    arrays = {
        "entropy": clean.entropy.mean(1),
        "entropy_no_sink": clean.entropy_no_sink.mean(1),
        "entropy_heads": (clean.entropy / visible.log()).mean(-1),
        "kl": ablate.mlp_kl(lm, clean, means.mlp),
        "jsd": lens.settling(lm, clean.hidden),
        "cosine": cosine,
    }
    return {name: array.float().cpu().numpy() for name, array in arrays.items()}, _fluency(clean.log_probs, case)


def fluency(lm: LM, case: Continued) -> Fluency:
    """An item's fluency alone, for one that has no window."""
    return _fluency(log_probs(lm, case.ids), case)


def _fluency(scores: torch.Tensor, case: Continued) -> Fluency:
    """``scores``: of every token after the first."""
    of_prompt, of_continuation = scores[: len(case.prompt) - 1], scores[len(case.prompt) - 1 :]
    return Fluency(of_continuation.cpu().double().mean().item(), of_prompt.cpu().double().mean().item())
