"""Run one item through the model, and return all that the measures need as small arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from wor.engine import ablate, states, unembed
from wor.engine.capture import CleanRun, Span, capture, capture_together, mean_beliefs
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


@dataclass(frozen=True)
class Observed:
    """What to observe: a sequence, and what is done with it. ``paraphrases`` are prompts.

    Each ablation puts ``replacement`` for a component, see `Reference.replacement`. None leaves out
    the ablations: the rest takes a pass, and one per paraphrase.
    """

    sequence: PromptAndContinuation
    paraphrases: Sequence[list[int]] = ()
    replacement: torch.Tensor | None = None
    alternatives: Alternatives | None = None

    def kind(self) -> tuple:
        """Return what is alike in sequences that `observe_together` takes."""
        stand_ins = self.alternatives.stand_ins if self.alternatives else {}
        counts = tuple((name, len(parts)) for name, parts in stand_ins.items())
        return len(self.sequence.predictions), self.replacement is None, self.alternatives is None, counts


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

    For ``paraphrases``, ``replacement`` and ``alternatives`` see `Observed`. Without a replacement
    there is no kl. ``belief``, [L + 1, D], is the reference mean on which beliefs are centred.
    ``lens`` adds the logit lens: jsd, and what has lens in its name. Everything but these and kl is
    from the clean passes.

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
    (result,) = observe_together(lm, [Observed(sequence, paraphrases, replacement, alternatives)], component, belief, lens)
    return result


def observe_together(
    lm: LM, items: Sequence[Observed], component: ablate.LayerComponent, belief: torch.Tensor, lens: bool
) -> list[tuple[dict[str, np.ndarray], TokenScores]]:
    """Return what `observe` does for each of several items of one `Observed.kind`.

    They share every pass. On a device that waits for its launches, this is faster.
    """
    sequences, n = [item.sequence for item in items], len(items)
    windows, last_prompt_tokens = zip(*((each.predictions, len(each.prompt) - 1) for each in sequences), strict=True)
    with lm.timed("forward"):
        clean = capture_together(lm, [each.ids for each in sequences], windows, 1, last_prompt_tokens)
    beliefs, fluency = _paraphrased(lm, clean, items)
    with lm.timed("states"):
        described = states.describe_states(lm, clean, belief)
    arrays = {
        "entropy": clean.by_sequence(clean.entropy.mean(1)),
        "entropy_no_sink": clean.by_sequence(clean.entropy_no_sink.mean(1)),
        "entropy_heads": clean.by_sequence(clean.entropy / clean.visible.log()[:, None]).mean(-1),
        **described,
        "prompt_state": clean.state[[round(depth * lm.n_layers) for depth in states.PROMPT_DEPTHS]].transpose(0, 1),
    }
    replacements = [item.replacement for item in items if item.replacement is not None]
    if replacements:
        with lm.timed("ablation"):
            kl = ablate.layer_kl(lm, clean, component, _in_one_row(replacements, windows[0]))
        arrays["kl"] = clean.by_sequence(kl)
    centres, alternatives = {"cosine": belief}, [item.alternatives for item in items if item.alternatives]
    if alternatives:
        centres |= {f"cosine_{name}": centre for name, centre in alternatives[0].centres.items()}
        for name in alternatives[0].stand_ins:
            draws = zip(*(each.stand_ins[name] for each in alternatives), strict=True)
            stand_ins = [_in_one_row(draw, windows[0]) for draw in draws] or [ablate.window_mean(clean, component)]
            kls = [ablate.layer_kl(lm, clean, component, stand_in, alternatives[0].layers) for stand_in in stand_ins]
            arrays[f"kl_{name}"] = clean.by_sequence(torch.stack(kls).mean(0))
    if lens:
        with lm.timed("lens"):
            arrays |= _read_lens(clean, unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1]))
    own = clean.hidden.unflatten(1, (n, -1)).float().mean(2).transpose(0, 1)  # [B, L + 1, D]
    stored = {name: array.float().cpu().numpy() for name, array in arrays.items()}
    scores = [part.split([len(each.ids) - 1 for each in sequences]) for part in clean.scores]
    results = []
    for index, sequence in enumerate(sequences):
        cosines = {name: _cosines(own[index], beliefs[index], centre) for name, centre in centres.items()}
        scored = _token_scores(unembed.Scores(*(part[index] for part in scores)), sequence)
        alone = {name: array[index] for name, array in stored.items()}
        results.append((alone | cosines, scored._replace(paraphrases=fluency[index])))
    return results


def bytes_per_item(lm: LM, item: Observed) -> int:
    """Return the memory of one more item in `observe_together`: passes, their cache, the lens."""
    tokens, width = len(item.sequence.ids) * (1 + len(item.paraphrases)), len(item.sequence.predictions)
    kv_heads = getattr(lm.hf.config, "num_key_value_heads", None) or lm.n_heads
    cache = 2 * lm.n_layers * kv_heads * lm.head_dim * tokens * (torch.finfo(lm.dtype).bits // 8)
    return ablate.activation_bytes(lm, tokens) + cache + 3 * 4 * unembed.LENS_LAYERS * width * lm.unembed.weight.shape[0]


def _paraphrased(lm: LM, clean: CleanRun, items: Sequence[Observed]) -> tuple[Sequence[torch.Tensor], list[list[float]]]:
    """Return of each item the mean states [P, L + 1, D] and the fluency of its paraphrases."""
    others = [
        PromptAndContinuation(prompt, item.sequence.continuation, item.sequence.start, item.sequence.end)
        for item in items
        for prompt in item.paraphrases
    ]
    beliefs, fluency = torch.zeros(0, lm.n_layers + 1, lm.width, device=lm.device), iter(())
    if others:
        sequences, windows = [other.ids_before_last for other in others], [other.predictions for other in others]
        with lm.timed("paraphrases"):
            beliefs, values = mean_beliefs(lm, clean, sequences, windows, [len(other.prompt) for other in others])
        fluency = iter(values)
    counts = [len(item.paraphrases) for item in items]
    return beliefs.split(counts), [list(islice(fluency, count)) for count in counts]


def _cosines(own: torch.Tensor, others: torch.Tensor, centre: torch.Tensor) -> np.ndarray:
    """Return cosines of mean states, from a centre: ``[L + 1, D], [P, L + 1, D] -> [P, L + 1]``."""
    centre = centre.to(own.device)
    return torch.cosine_similarity(own - centre, others - centre, dim=-1).float().cpu().numpy()


def _in_one_row(replacements: Sequence[torch.Tensor], window: Span) -> torch.Tensor:
    """Return the items' replacements over the row of all windows: ``[L, D]`` or ``[L, W, D]``."""
    first = replacements[0]
    if all(part is first for part in replacements):
        return first if first.ndim == 2 else first.repeat(1, len(replacements), 1)
    rows = (part if part.ndim == 3 else part[:, None].expand(-1, len(window), -1) for part in replacements)
    return torch.cat(list(rows), dim=1)


def _read_lens(clean: CleanRun, lens: unembed.Lens) -> dict[str, torch.Tensor]:
    numbers = torch.arange(1, len(lens.jsd) + 1, device=lens.jsd.device)[:, None]
    last_other = (numbers * ~lens.ranked_first).amax(0)
    entropy = clean.by_sequence(lens.entropy)
    return {
        "jsd": clean.by_sequence(lens.jsd),
        "lens_kl": clean.by_sequence(lens.kl),
        "lens_probability": clean.by_sequence(lens.probability),
        "lens_flip": clean.by_sequence((last_other + 1).clamp_max(len(lens.jsd))),
        "lens_entropy": torch.stack([entropy[..., part].mean(-1) for part in states.PARTS], dim=1),
    }


def score_tokens(lm: LM, sequence: PromptAndContinuation) -> TokenScores:
    """Return the token scores of an item that has no window."""
    return _token_scores(capture(lm, sequence.ids, Span(0, 0), scored_from=1).scores, sequence)


def _token_scores(scores: unembed.Scores, sequence: PromptAndContinuation) -> TokenScores:
    first = len(sequence.prompt) - 1  # the sequence's first token has no score
    prompt, continuation = scores.log_prob[:first].cpu(), scores.log_prob[first:].cpu()
    means = [log_probs.double().mean().item() for log_probs in (continuation, prompt)]
    return TokenScores(means[0], means[1], continuation.numpy(), scores.entropy[first:].cpu().numpy())
