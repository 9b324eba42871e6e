"""Frozen replacements for components, from held-out items alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from wor.engine.ablate import LayerComponent
from wor.engine.capture import CleanRun
from wor.engine.seeding import generator_for

Component = LayerComponent | Literal["head"]
Mode = Literal["mean", "zero", "resample"]
MIN_SAMPLES = 64  # positions kept for `resample`, at least


@dataclass(frozen=True)
class Reference:
    """Means over the window positions of held-out items, and a sample of those positions.

    mlp, attention : [L, D] mean output. head : [L, H, Dh] mean before the output projection.
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

    def replacement(self, component: Component, mode: Mode, width: int, seed: int = 0, name: str = "") -> torch.Tensor:
        """Return what replaces a component over a window of ``width`` positions.

        ``mean`` and ``zero`` give ``[L, ...]``, the same at each position. ``resample`` gives
        ``[L, width, ...]``: at each position the output at one sampled position, drawn by
        ``(seed, name)`` for all layers and components. ``...`` is D, or H, Dh for heads.
        ``layer`` is attention and MLP at once.
        """
        if component == "layer":
            return self.replacement("attention", mode, width, seed, name) + self.replacement("mlp", mode, width, seed, name)
        if mode == "resample":
            samples = getattr(self, f"{component}_samples")
            rows = generator_for(seed, f"resample\x1f{name}").integers(len(samples), size=width)
            return samples[torch.from_numpy(rows)].transpose(0, 1)
        mean = getattr(self, component)
        return torch.zeros_like(mean) if mode == "zero" else mean


def summarise_run(clean: CleanRun, samples: int) -> dict[str, np.ndarray]:
    """Return sums over one pass's window in float64, and ``samples`` evenly spread positions."""
    outputs = {"mlp": clean.mlp_out, "attention": clean.attention_out, "head": clean.head_out}
    rows = ((torch.arange(samples) + 0.5) * len(clean.windows[0]) / samples).long()
    summary = {name: output.cpu().double().sum(1) for name, output in {**outputs, "belief": clean.hidden}.items()}
    summary |= {f"{name}_samples": output.cpu().float()[:, rows].transpose(0, 1) for name, output in outputs.items()}
    return {"positions": np.array(len(clean.windows[0]))} | {name: array.numpy() for name, array in summary.items()}


def pool_summaries(summaries: dict[str, np.ndarray]) -> Reference:
    """Pool the stacked `summarise_run` arrays of all passes. Each position weighs alike."""
    total = summaries["positions"].sum()
    means = {name: summaries[name].sum(0) / total for name in ("mlp", "attention", "head", "belief")}
    samples = {f"{name}_samples": np.concatenate(summaries[f"{name}_samples"]) for name in ("mlp", "attention", "head")}
    return Reference(**{name: torch.from_numpy(array).float() for name, array in {**means, **samples}.items()})


def balance(references: Sequence[Reference]) -> Reference:
    """Return the mean of the references of several classes. Each class weighs alike.

    Within a class each position weighs alike, so longer or more windows give a class no more
    weight. Samples are as many of each class, evenly spread over those that it has.
    """
    fields: dict[str, torch.Tensor] = {}
    for name in vars(references[0]):
        parts = [getattr(reference, name) for reference in references]
        if name.endswith("_samples"):
            size = min(map(len, parts))
            rows = [(torch.arange(size) * len(part)) // size for part in parts]
            fields[name] = torch.cat([part[row] for part, row in zip(parts, rows, strict=True)])
        else:
            fields[name] = torch.stack(parts).double().mean(0).float()
    return Reference(**fields)
