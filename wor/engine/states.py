"""Reduce the residual stream of a window to what published measures of effort are made from.

``[PARTS, ...]`` are the numbers over all tokens of the window, over those at its even places (0,
2, ...), and over those at its odd ones. So a measure of a whole window has two halves to compare.
"""

from functools import partial

import torch
from torch.nn.functional import cosine_similarity

from wor.engine.attention import accumulation_dtype
from wor.engine.capture import CleanRun
from wor.engine.model import LM

PARTS = (slice(None), slice(0, None, 2), slice(1, None, 2))
LARGEST = 10  # dimensions that are left out: a few massive ones dominate norms and distances
PROMPT_DEPTHS = (0.5, 0.75)  # of the states at the last prompt token
ENERGY_SHARE = 0.05  # of the dimensions, in `sparsity`


def largest_dimensions(mean: torch.Tensor) -> torch.Tensor:
    """Return the LARGEST dimensions with the largest mean of some layer: ``[L + 1, D] -> [10]``.

    ``mean`` is the reference mean of the residual stream. So they are the same for all items.
    """
    return mean.abs().amax(0).topk(LARGEST).indices


def late_layers(n_layers: int) -> slice:
    """Return the layers of the last quarter without the last, at least one, as rows of [L + 1]."""
    return slice(max(0, min(3 * n_layers // 4, n_layers - 2)) + 1, n_layers)


def describe_states(lm: LM, clean: CleanRun, mean: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return arrays of windows of W tokens of B sequences, from a clean pass; D width, L layers.

    In ``[2, ...]``, the first is over all dimensions, the second without `largest_dimensions`.

    Returns
    -------
    Of each sequence, so with [B, ...] before these:

    attention_squares : [W] sum of a query's squared attention weights, mean over heads and layers.
    norm : [2, late, W] L2 norm of the residual stream after each of the `late_layers`.
    step_weighted, step_mean, step_cosine, step_entropy : of `token_steps`.
    part_cosine : [PARTS, 3, L] mean cosine of what is added with the stream that it is added to:
        attention's output, the MLP's, and the whole layer's.
    block_influence : [PARTS, L] mean of 1 - cosine of the residual stream before and after a layer.
    chain : [PARTS, 2, 4] of the mean states, `chain_of_embedding`.
    participation : [PARTS, L + 1] `participation_ratio` of the window's states.
    hoyer, top_energy : [W] `sparsity` of the final state, after the final norm.
    """
    dtype, n = accumulation_dtype(clean.hidden.dtype), len(clean.windows)
    parts = [part.to(dtype).unflatten(-2, (n, -1)) for part in (clean.hidden, clean.attention_out, clean.mlp_out)]
    final = lm.norm(clean.hidden[-1]).to(dtype).unflatten(0, (n, -1))
    kept = torch.ones(lm.width, dtype=torch.bool)
    kept[largest_dimensions(mean).cpu()] = False
    describe = partial(_describe, kept.nonzero()[:, 0].to(lm.device), late_layers(lm.n_layers))
    if n == 1:
        hidden, attention, mlp = (part[:, 0] for part in parts)
        described = {name: array[None] for name, array in describe(hidden, attention, mlp, final[0]).items()}
    else:
        described = torch.vmap(describe, in_dims=(1, 1, 1, 0))(*parts, final)
    return {"attention_squares": clean.by_sequence(clean.attention_squares.mean((0, 1))), **described}


def _describe(
    kept: torch.Tensor, late: slice, hidden: torch.Tensor, attention: torch.Tensor, mlp: torch.Tensor, final: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Describe one window: [L + 1, W, D] states, [L, W, D] added, [W, D] final states, normed."""
    variants = (hidden, hidden.index_select(-1, kept))
    weighted, means, entropies = zip(*map(token_steps, variants), strict=True)
    before = hidden[:-1]
    added = ((attention, before), (mlp, before + attention), (hidden[1:] - before, before))
    cosines = torch.stack([cosine_similarity(part, stream, dim=-1) for part, stream in added])
    influence = 1 - cosine_similarity(before, hidden[1:], dim=-1)
    hoyer, top_energy = sparsity(final)
    return {
        "norm": torch.stack([variant[late].norm(dim=-1) for variant in variants]),
        "step_weighted": torch.stack(weighted),
        "step_mean": torch.stack(means),
        "step_cosine": cosine_steps(hidden),
        "step_entropy": entropies[0],
        "part_cosine": torch.stack([cosines[..., part].mean(-1) for part in PARTS]),
        "block_influence": torch.stack([influence[:, part].mean(-1) for part in PARTS]),
        "chain": torch.stack(
            [torch.stack([chain_of_embedding(variant[:, part].mean(1)) for variant in variants]) for part in PARTS]
        ),
        "participation": torch.stack([participation_ratio(hidden[:, part]) for part in PARTS]),
        "hoyer": hoyer,
        "top_energy": top_energy,
    }


def token_steps(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return how far the states of a token, [L + 1, W, D], are from those of the token before.

    With a[l, t] = norm(h[l, t] - h[l, t-1]), b[l, t] = norm(h[l, t] - h[l-1, t]) and w = softmax of
    b over the layers l = 1..L: sum of w a, mean of a, and the entropy of w in nats, each [W]. The
    window's first token has none: it is NaN.
    """
    a = (hidden[1:, 1:] - hidden[1:, :-1]).norm(dim=-1)
    log_w = (hidden[1:, 1:] - hidden[:-1, 1:]).norm(dim=-1).log_softmax(0)
    entropy = -(log_w.exp() * log_w).sum(0)
    weighted, mean, entropy = (_after_first(values) for values in ((log_w.exp() * a).sum(0), a.mean(0), entropy))
    return weighted, mean, entropy


def cosine_steps(hidden: torch.Tensor) -> torch.Tensor:
    """Return the weighted sum of `token_steps`, [W], with 1 - cosine in the place of distances."""
    a = 1 - cosine_similarity(hidden[1:, 1:], hidden[1:, :-1], dim=-1)
    b = 1 - cosine_similarity(hidden[1:, 1:], hidden[:-1, 1:], dim=-1)
    return _after_first((b.softmax(0) * a).sum(0))


def _after_first(values: torch.Tensor) -> torch.Tensor:
    return torch.cat([values.new_full((1,), torch.nan), values])


def chain_of_embedding(states: torch.Tensor) -> torch.Tensor:
    """Return four means over the steps of a chain of states, ``[L + 1, D] -> [4]``.

    M is the length of a step, A its angle in radians, each over that from the first state to the
    last: the means of M, A, M cos A and M sin A. NaN where first and last are equal.
    """
    first, last = states[:1], states[-1:]
    length = (states[1:] - states[:-1]).norm(dim=-1) / (last - first).norm(dim=-1)
    turn = _angle(states[1:], states[:-1]) / _angle(last, first)
    return torch.stack([part.mean() for part in (length, turn, length * turn.cos(), length * turn.sin())])


def _angle(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the angle between vectors, in radians. An arccosine would lose the small ones."""
    left, right = (vector / vector.norm(dim=-1, keepdim=True) for vector in (left, right))
    return 2 * torch.atan2((left - right).norm(dim=-1), (left + right).norm(dim=-1))


def participation_ratio(states: torch.Tensor) -> torch.Tensor:
    """Return (sum e)^2 / sum e^2 of the eigenvalues e of the states' covariance.

    ``[L + 1, W, D] -> [L + 1]`` in [1, W - 1]: over how many directions W tokens spread. NaN where
    they are all equal.
    """
    centred = states - states.mean(1, keepdim=True)
    gram = centred @ centred.mT
    total = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    rounding = torch.finfo(states.dtype).eps ** 1.5 * states.square().sum((-2, -1))
    return torch.where(total > rounding, total**2 / gram.square().sum((-2, -1)), torch.nan)


def sparsity(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Hoyer's index and the share of energy in the largest 5 % of dimensions.

    ``[..., D] -> [...]`` twice, in [0, 1]: Hoyer's is (sqrt(D) - L1 / L2) / (sqrt(D) - 1), 0 where
    all dimensions are of one size, 1 where one alone isn't 0. NaN where all are 0.
    """
    root, squares = states.shape[-1] ** 0.5, states.square()
    largest = squares.topk(max(1, int(ENERGY_SHARE * states.shape[-1]))).values
    hoyer = (root - states.abs().sum(-1) / squares.sum(-1).sqrt()) / (root - 1)
    return hoyer, largest.sum(-1) / squares.sum(-1)
