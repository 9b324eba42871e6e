"""Every tool's KL of every layer's MLP ablation, and the same in double precision."""

from __future__ import annotations

import torch

from benchmarks import inputs, tools
from wor.engine import ablate
from wor.engine.capture import Span, capture
from wor.engine.model import LM

LENGTH = 96


def run() -> dict[str, torch.Tensor]:
    """[L, W] nats by tool, in float64; ``float64`` is the hook loop on the model in float64, what is true."""
    ids, start, stand_in = inputs.text()[:, :LENGTH], LENGTH - inputs.WINDOW, inputs.stand_in()
    found = {name: make(inputs.folder())(ids, start, stand_in, range(30)).double() for name, make in tools.TOOLS.items()}
    hf = tools.transformers_model(inputs.folder()).double()
    found["float64"] = tools.hooked(hf)(ids, start, stand_in.double(), range(30))
    lm = LM(hf)
    clean = capture(lm, ids[0].tolist(), Span(start, LENGTH))
    found["engine, float64"] = ablate.layer_kl(lm, clean, "mlp", stand_in.double())
    return found


def errors(found: dict[str, torch.Tensor]) -> dict[str, float]:
    """Each tool's largest relative error over all layers and positions."""
    exact = found["float64"]
    return {name: ((found[name] - exact).abs() / exact).max().item() for name in tools.TOOLS}
