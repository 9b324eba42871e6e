"""What stands in for a part of the model that is taken out. Frozen: it comes from calibration controls alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from wor.engine.ablate import LayerPart
from wor.engine.capture import CleanRun
from wor.engine.seeding import generator_for

Part = LayerPart | Literal["head"]
Mode = Literal["mean", "zero", "resample"]
MIN_SAMPLES = 64  # positions kept for `resample`, at least


@dataclass(frozen=True)
class Reference:
    """Means over the window positions of calibration controls, and some of those positions as they were.

    mlp, attention : [L, D] a part's mean output. head : [L, H, Dh] before the output projection.
    belief : [L + 1, D] mean residual stream; 0 is the embedding.
    mlp_samples, attention_samples : [S, L, D]. head_samples : [S, L, H, Dh].
    """

    mlp: torch.Tensor
    attention: torch.Tensor
    head: torch.Tensor
    belief: torch.Tensor
    mlp_samples: torch.Tensor
    attention_samples: torch.Tensor
    head_samples: torch.Tensor

    def replacement(self, part: Part, mode: Mode, width: int, seed: int = 0, name: str = "") -> torch.Tensor:
        """What a part gives over a window of ``width`` positions once it is taken out.

        mean : its mean, the same at each position: ``[L, ...]``.
        zero : nothing, so that the layer's update is left out: ``[L, ...]``.
        resample : at each position its output at one sampled position of a calibration control, the same one
            for all layers, drawn by ``(seed, name)``: ``[L, width, ...]``.

        ``...`` is D, or H, Dh for heads. ``layer`` is attention and MLP at once.
        """
        if part == "layer":
            parts = [self.replacement(one, mode, width, seed, name) for one in ("attention", "mlp")]
            return parts[0] + parts[1]
        if mode == "resample":
            samples = getattr(self, f"{part}_samples")
            drawn = generator_for(seed, f"resample\x1f{name}").integers(len(samples), size=width)
            return samples[torch.from_numpy(drawn)].transpose(0, 1)
        mean = getattr(self, part)
        return torch.zeros_like(mean) if mode == "zero" else mean


def summarise_run(clean: CleanRun, samples: int) -> dict[str, np.ndarray]:
    """One pass's sums over its window, in float64, and ``samples`` of its positions, evenly spread."""
    parts = {"mlp": clean.mlp_out, "attention": clean.attention_out, "head": clean.head_out}
    spread = ((torch.arange(samples) + 0.5) * len(clean.window) / samples).long()
    found = {name: part.cpu().double().sum(1) for name, part in {**parts, "belief": clean.hidden}.items()}
    found |= {f"{name}_samples": part.cpu().float()[:, spread].transpose(0, 1) for name, part in parts.items()}
    return {"positions": np.array(len(clean.window))} | {name: array.numpy() for name, array in found.items()}


def pool_summaries(summaries: dict[str, np.ndarray]) -> Reference:
    """The reference of all passes: `summarise` of each, stacked along a first axis. Positions weigh alike."""
    total = summaries["positions"].sum()
    means = {name: summaries[name].sum(0) / total for name in ("mlp", "attention", "head", "belief")}
    samples = {f"{name}_samples": np.concatenate(summaries[f"{name}_samples"]) for name in ("mlp", "attention", "head")}
    return Reference(**{name: torch.from_numpy(array).float() for name, array in {**means, **samples}.items()})
