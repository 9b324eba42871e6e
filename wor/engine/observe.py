"""Run one item through the model, and return all that the measures need as small arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wor.engine import ablate, states, unembed
from wor.engine.capture import Span, capture, mean_beliefs
from wor.engine.model import LM

PASSES = ("forward", "paraphrases", "states", "ablation", "lens")  # each is timed


@dataclass(frozen=True)
class PromptAndContinuation:
    """A prompt, which isn't empty, and its continuation. ``[start, end)`` of it is the window.

    The window is a set of generated tokens. Every number about it belongs to the predictions that
    these tokens were drawn from. The prediction of a token is made at the position before it.
    """

    prompt: list[int]
    continuation: list[int]
    start: int
    end: int

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.continuation

    @property
    def ids_before_last(self) -> list[int]:
        """Return all before the window's last token. Nothing later can change a prediction."""
        return (self.prompt + self.continuation[: self.end])[:-1]

    @property
    def predictions(self) -> Span:
        """Return the positions at which the window's tokens were predicted."""
        return Span(len(self.prompt) + self.start - 1, len(self.prompt) + self.end - 1)


class TokenScores(NamedTuple):
    """Scores of an item's tokens at temperature 1, in nats.

    continuation, prompt : mean log-probability, NaN for no tokens. The prompt's first has none.
    log_probs : of each token of the continuation. entropies : of the predictions before them.
    paraphrases : of each paraphrase of the prompt, the mean as for ``prompt``.
    """

    continuation: float
    prompt: float
    log_probs: np.ndarray
    entropies: np.ndarray
    paraphrases: Sequence[float] = ()


@dataclass(frozen=True)
class Alternatives:
    """Other stand-ins and other centres, to see what the choice of either does.

    stand_ins : by name the replacements whose KLs are averaged, see `Reference.replacement`. None
    of them stands for the mean over the item's own window. layers : those that are ablated again.
    centres : by name [L + 1, D], on which beliefs are centred.
    """

    stand_ins: Mapping[str, Sequence[torch.Tensor]]
    layers: Sequence[int]
    centres: Mapping[str, torch.Tensor]


def observe(
    lm: LM,
    sequence: PromptAndContinuation,
    paraphrases: Sequence[list[int]],
    component: ablate.LayerComponent,
    replacement: torch.Tensor | None,
    belief: torch.Tensor,
    lens: bool,
    alternatives: Alternatives | None = None,
) -> tuple[dict[str, np.ndarray], TokenScores]:
    """Return one item's arrays and scores. W window tokens, L layers, H heads, P paraphrases.

    To ``lm.seconds`` it adds what each of PASSES took.

    Entry w along W belongs to the prediction that the window's token w was drawn from.

    Each ablation puts ``replacement`` for ``component``, see `Reference.replacement`. None leaves
    out the ablations, and kl: the rest takes a pass, and one per paraphrase. ``belief``,
    [L + 1, D], is the reference mean on which beliefs are centred. ``lens`` adds the logit lens:
    jsd, and what has lens in its name. Everything but these and kl is from the clean passes.

    Returns
    -------
    entropy, entropy_no_sink : [L, W] attention entropy in nats, mean over heads.
    entropy_heads : [L, H] entropy / log(visible keys), mean over the window, in [0, 1].
    kl : [L, W] KL(clean || this layer's component replaced), nats.
    cosine : [P, L + 1] cosine between the centred window means of item and paraphrase.
    jsd : [L, W] logit-lens divergence from the final layer, bits.
    lens_kl, lens_probability : [L, W] of `unembed.Lens`.
    lens_flip : [W] the first layer, from 1, from which on the final argmax is ranked first.
    lens_entropy : [PARTS, L] mean entropy of the layer's prediction, nats; PARTS as in `states`.
    prompt_state : [depths, D] residual stream at the prompt's last token, at each of
        `states.PROMPT_DEPTHS`. The arrays of `states.describe_states`.
    kl_NAME, cosine_NAME : with each of the ``alternatives``; [layers, W] and [P, L + 1].
    """
    with lm.timed("forward"):
        clean = capture(lm, sequence.ids, sequence.predictions, scored_from=1, state_at=len(sequence.prompt) - 1)
    centres = {"cosine": belief}
    if alternatives:
        centres |= {f"cosine_{name}": centre for name, centre in alternatives.centres.items()}
    cosines, fluency = dict.fromkeys(centres, torch.zeros(0, lm.n_layers + 1)), []
    if paraphrases:
        start, end = sequence.start, sequence.end
        others = [PromptAndContinuation(prompt, sequence.continuation, start, end) for prompt in paraphrases]
        sequences, windows = [other.ids_before_last for other in others], [other.predictions for other in others]
        with lm.timed("paraphrases"):
            beliefs, fluency = mean_beliefs(lm, clean, sequences, windows, [*map(len, paraphrases)])
        own = clean.hidden.float().mean(1)
        for name, centre in centres.items():
            centre = centre.to(lm.device)
            cosines[name] = torch.cosine_similarity(own - centre, beliefs - centre, dim=-1)
    with lm.timed("states"):
        described = states.describe_states(lm, clean, belief)
    arrays = {
        "entropy": clean.entropy.mean(1),
        "entropy_no_sink": clean.entropy_no_sink.mean(1),
        "entropy_heads": (clean.entropy / clean.visible.log()[:, None]).mean(-1),
        **cosines,
        **described,
        "prompt_state": clean.state[[round(depth * lm.n_layers) for depth in states.PROMPT_DEPTHS]],
    }
    if replacement is not None:
        with lm.timed("ablation"):
            arrays["kl"] = ablate.layer_kl(lm, clean, component, replacement)
    if alternatives:
        for name, stand_ins in alternatives.stand_ins.items():
            replacements = stand_ins or [ablate.window_mean(clean, component)]
            repeats = [ablate.layer_kl(lm, clean, component, stand_in, alternatives.layers) for stand_in in replacements]
            arrays[f"kl_{name}"] = torch.stack(repeats).mean(0)
    if lens:
        with lm.timed("lens"):
            arrays |= _read_lens(unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1]))
    scores = _token_scores(clean.scores, sequence)._replace(paraphrases=fluency)
    return {name: array.float().cpu().numpy() for name, array in arrays.items()}, scores


def _read_lens(lens: unembed.Lens) -> dict[str, torch.Tensor]:
    numbers = torch.arange(1, len(lens.jsd) + 1, device=lens.jsd.device)[:, None]
    last_other = (numbers * ~lens.ranked_first).amax(0)
    return {
        "jsd": lens.jsd,
        "lens_kl": lens.kl,
        "lens_probability": lens.probability,
        "lens_flip": (last_other + 1).clamp_max(len(lens.jsd)),
        "lens_entropy": torch.stack([lens.entropy[:, part].mean(-1) for part in states.PARTS]),
    }


def score_tokens(lm: LM, sequence: PromptAndContinuation) -> TokenScores:
    """Return the token scores of an item that has no window."""
    return _token_scores(capture(lm, sequence.ids, Span(0, 0), scored_from=1).scores, sequence)


def _token_scores(scores: unembed.Scores, sequence: PromptAndContinuation) -> TokenScores:
    first = len(sequence.prompt) - 1  # the sequence's first token has no score
    prompt, continuation = scores.log_prob[:first].cpu(), scores.log_prob[first:].cpu()
    means = [log_probs.double().mean().item() for log_probs in (continuation, prompt)]
    return TokenScores(means[0], means[1], continuation.numpy(), scores.entropy[first:].cpu().numpy())
