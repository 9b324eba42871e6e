"""Compute every tool's KL of every layer's MLP ablation, and the same in double precision."""

from __future__ import annotations

import torch

from benchmarks import inputs, tools
from wor.engine import ablate
from wor.engine.capture import Span, capture
from wor.engine.model import LM

LENGTH = 96


def run() -> dict[str, torch.Tensor]:
    """Return KL [L, W] in nats by tool. ``float64`` is the hook loop on the model in float64."""
    ids, start, replacement = inputs.text()[:, :LENGTH], LENGTH - inputs.WINDOW, inputs.replacement()
    kls = {name: make(inputs.folder())(ids, start, replacement, range(30)).double() for name, make in tools.TOOLS.items()}
    hf = tools.transformers_model(inputs.folder()).double()
    kls["float64"] = tools.hooked(hf)(ids, start, replacement.double(), range(30))
    lm = LM(hf)
    clean = capture(lm, ids[0].tolist(), Span(start, LENGTH))
    kls["engine, float64"] = ablate.layer_kl(lm, clean, "mlp", replacement.double())
    return kls


def errors(kls: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return each tool's largest relative error over all layers and positions."""
    exact = kls["float64"]
    return {name: ((kls[name] - exact).abs() / exact).max().item() for name in tools.TOOLS}
