"""What a measure is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ItemArrays:
    """What is stored of an item. L layers, H heads, W window positions, P paraphrases; NaN pads short windows.

    Parameters
    ----------
    arrays : ``entropy``, ``entropy_no_sink`` [L, W], nats, mean over heads; ``entropy_heads`` [L, H], each
        head's over log k, mean over the window; ``kl`` [L, W], nats, of each layer's ablation; ``cosine`` [P, L + 1];
        and of evaluation items ``jsd`` [L, W], bits, of each layer's logit lens from the last's. All NaN for an item
        without a window.
    first_position : of the window in the sequence, counted from 0.
    thresholds : [L] nats, from calibration controls; see `apl.thresholds`.
    """

    arrays: Mapping[str, np.ndarray]
    first_position: int
    thresholds: np.ndarray
