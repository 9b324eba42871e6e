"""One item through the model: everything that the measures need, as small arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wor.engine import ablate, unembed
from wor.engine.capture import Span, beliefs, capture, score_continuation
from wor.engine.model import LM
from wor.engine.unembed import Scores


@dataclass(frozen=True)
class PromptAndContinuation:
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


class TokenScores(NamedTuple):
    """Mean log-probability at temperature 1, NaN over no tokens (the prompt's first token has none); and of each token
    of the continuation its own, and the entropy of the prediction that it followed, in nats."""

    continuation: float
    prompt: float
    log_probs: np.ndarray
    entropies: np.ndarray


def observe(
    lm: LM,
    case: PromptAndContinuation,
    paraphrases: Sequence[list[int]],
    part: ablate.LayerPart,
    stand_in: torch.Tensor,
    belief: torch.Tensor,
    lens: bool,
) -> tuple[dict[str, np.ndarray], TokenScores]:
    """What one item showed. W window positions, L layers, H heads, P paraphrases.

    Parameters
    ----------
    paraphrases : token IDs of each paraphrased prompt.
    part, stand_in : what is taken out of each layer, and what stands in for it (see Reference.stand_in).
    belief : [L + 1, D], on which beliefs are centred.
    lens : whether jsd is wanted.

    Returns
    -------
    The item's fluency, and these arrays:

    entropy, entropy_no_sink : [L, W] attention entropy in nats, mean over heads.
    entropy_heads : [L, H] entropy / log(visible keys), mean over the window, in [0, 1].
    kl : [L, W] KL(clean || this layer's part replaced), nats.
    jsd : [L, W] logit-lens divergence from the final layer, bits.
    cosine : [P, L + 1] cosine between the centred window means of item and paraphrase.
    """
    clean = capture(lm, case.ids, case.window, scored_from=1)
    visible = torch.arange(clean.window.start, clean.window.end, device=lm.device) + 1
    cosine, belief = torch.zeros(0, lm.n_layers + 1), belief.to(lm.device)
    if paraphrases:
        own = clean.hidden.float().mean(1) - belief
        others = [PromptAndContinuation(prompt, case.continuation, case.start, case.end) for prompt in paraphrases]
        theirs = beliefs(lm, clean, [other.ids_to_window for other in others], [other.window for other in others])
        cosine = torch.cosine_similarity(own, theirs - belief, dim=-1)
    arrays = {
        "entropy": clean.entropy.mean(1),
        "entropy_no_sink": clean.entropy_no_sink.mean(1),
        "entropy_heads": (clean.entropy / visible.log()).mean(-1),
        "kl": ablate.layer_kl(lm, clean, part, stand_in),
        "cosine": cosine,
    }
    if lens:
        arrays["jsd"] = unembed.logit_lens_jsd(lm, clean.hidden[1:], clean.hidden[-1])
    return {name: array.float().cpu().numpy() for name, array in arrays.items()}, _token_scores(clean.scores, case)


def score_tokens(lm: LM, case: PromptAndContinuation) -> TokenScores:
    """An item's fluency alone, for one that has no window."""
    return _token_scores(score_continuation(lm, case.ids), case)


def _token_scores(scored: Scores, case: PromptAndContinuation) -> TokenScores:
    """``scored``: every token after the first."""
    first = len(case.prompt) - 1
    of_prompt, of_continuation = scored.log_prob[:first], scored.log_prob[first:]
    means = (part.cpu().double().mean().item() for part in (of_continuation, of_prompt))
    return TokenScores(*means, of_continuation.cpu().numpy(), scored.entropy[first:].cpu().numpy())
