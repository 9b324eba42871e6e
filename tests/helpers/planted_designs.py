"""Make the passes of stage designs, with an effect that is known."""

import numpy as np
import pandas as pd

from tests.helpers import planted
from wor.measures import table as tables
from wor.measures.designs import design_table

LAYERS, WINDOW, TOKENS = planted.LAYERS, planted.WINDOW, 40
N = 30


def item_frame(role: str, source: str, arm: str, entropy: np.ndarray, rng) -> pd.DataFrame:
    """Return rows as `observe_all` writes them. ``entropy`` of the predictions is [N, TOKENS]."""
    n = len(entropy)
    frame = planted.table(n=2 * n, seed=3)
    frame = frame[frame["role"] == role].reset_index(drop=True)
    return frame.assign(
        source=source,
        arm=arm,
        token_len=80,
        prompt_ids=[list(range(80))] * n,
        continuation_ids=[list(range(TOKENS))] * n,
        tokens=[["a"] * TOKENS] * n,
        window_start=80 + 5,
        window_end=80 + 5 + WINDOW,
        paraphrase_reason="",
        token_entropy=list(entropy),
        token_logprob=list(-entropy - 0.1 * rng.random(entropy.shape)),
        avg_logprob=-entropy.mean(1) - 0.1 * rng.normal(size=n),
    )


def arm(role, source, name, rng, *, effect=0.0, entropy=0.5, by_entropy=0.0, ape=0.0, texture=None):
    """Return one arm's records: log KL of each token is its text's, plus effects planted here.

    ``texture`` is shared by the arms of a text. ``entropy`` is that of every other token; the rest
    are certain in both arms. ``by_entropy`` is log KL for each nat of a token.
    """
    token_entropy = np.abs(np.where(np.arange(TOKENS) % 2, entropy, 0) + 0.3 * rng.normal(size=(N, TOKENS)))
    token_entropy[:, ::2] /= 6
    frame = item_frame(role, source, name, token_entropy, rng)
    shape = (N, LAYERS, WINDOW)
    logs = -3 + texture + effect + by_entropy * token_entropy[:, None, 5 : 5 + WINDOW] + 0.3 * rng.normal(size=shape)
    attention = np.log(90) * (0.5 + ape + 0.02 * rng.normal(size=(N, 1, 1)) + 0.002 * rng.normal(size=shape))
    arrays = {"kl": np.exp(logs), "entropy": attention, "entropy_no_sink": attention - 0.1}
    arrays |= {"entropy_heads": 0.5 + 0.1 * rng.normal(size=(N, LAYERS, 3)), "cosine": np.full((N, 2, LAYERS + 1), np.nan)}
    return frame, {key: array.astype(np.float32) for key, array in arrays.items()}


def study(seed=0, **derive):
    """Return activations, designs' records and calibration. ``derive`` is planted when deriving."""
    rng = np.random.default_rng(seed)
    parts = {}
    for source in ("own", "gold"):
        texture = 0.8 * rng.normal(size=(N, 1, 1)) + 0.5 * rng.normal(size=(1, LAYERS, 1))
        copied = {key: value for key, value in derive.items() if key == "by_entropy"}
        parts[source, "derive"] = arm("reasoning", source, "derive", rng, texture=texture, **derive)
        parts[source, "copy"] = arm("reasoning", source, "copy", rng, texture=texture, **copied)
    parts["control"] = arm("control", "gold", "derive", rng, texture=0.8 * rng.normal(size=(N, 1, 1)))
    activations = parts.pop(("own", "derive"))
    activations = (activations[0].drop(columns=["source", "arm"]), activations[1] | {"jsd": np.zeros((N, LAYERS, WINDOW))})
    return activations, join(list(parts.values())), parts["control"]


def join(parts):
    frame = pd.concat([frame for frame, _ in parts], ignore_index=True)
    return frame, {key: np.concatenate([arrays[key] for _, arrays in parts]) for key in parts[0][1]}


def make_table(params, seed=0, **derive):
    activations, records, controls = study(seed, **derive)
    return design_table([activations], records, tables.calibrate(*controls, params), params)
