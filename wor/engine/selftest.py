"""What must hold before any number of a model is believed: the engine against the model's own forward pass."""

from __future__ import annotations

import torch

from wor.engine import ablate, attention
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.errors import UserError

LENGTH, START = 24, 20
# Largest difference of logits, in standard deviations of the model's logits.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.4}


@torch.inference_mode()
def run_selftest(lm: LM) -> None:
    """Checks on a short sequence; UserError names the first that fails.

    own pass : the residual stream that `capture` keeps gives the model's own logits.
    attention rows : they sum to 1, and give the forward pass's own output.
    no-op : a part replaced by its own output leaves the logits as they were, on the shared prefix.
    skipped mlp : the middle layer's MLP left out gives what a full pass with a hook gives.
    decoding : one token on a cache gives the logits of the full pass.
    padding : tokens on the left change nothing, as `generate` needs.
    """
    ids = [(7 * place + 11) % lm.unembed.weight.shape[0] for place in range(LENGTH)]
    window = Span(START, LENGTH)
    logits = (
        lm.hf(torch.tensor([ids], device=lm.device), use_cache=False).logits[0, START:].to(attention.accumulation_dtype(lm.dtype))
    )
    scale = logits.std().clamp_min(torch.finfo(lm.dtype).tiny)

    def hold(check: str, difference: float | torch.Tensor) -> None:
        found = float(difference)
        if not found <= TOLERANCE[lm.dtype]:
            remedy = "The engine's numbers would not be this model's; use another model or dtype"
            raise UserError(
                f"self-test of {type(lm.hf).__name__}", f"{check} off by {found:.2g} (at most {TOLERANCE[lm.dtype]:g})", remedy
            )

    def hold_logits(check: str, found: torch.Tensor, expected: torch.Tensor = logits) -> None:
        hold(check, (found - expected).abs().max() / scale)

    clean = capture(lm, ids, window)
    hold_logits("own pass", lm.logits(clean.hidden[-1]))
    with attention.recording(START, LENGTH, checked=True) as seen:
        lm.base(clean.ids, use_cache=False)
    hold("attention rows", seen.error)
    for part, own in (("mlp", clean.mlp_out), ("attention", clean.attention_out)):
        hold_logits(f"no-op {part}", lm.logits(ablate.patched_residual(lm, clean, part, own)))
    zero, middle = torch.zeros(lm.n_layers, lm.width), lm.n_layers // 2
    with ablate.replaced_output(lm, middle, "mlp", window, zero[middle].to(lm.device, lm.dtype)):
        hooked = lm.hf(clean.ids, use_cache=False).logits[0, START:].to(logits.dtype)
    hold_logits("skipped mlp", lm.logits(ablate.patched_residual(lm, clean, "mlp", zero)[middle]), hooked)
    cache = lm.hf(clean.ids[:, :-1], use_cache=True).past_key_values
    step = lm.hf(clean.ids[:, -1:], past_key_values=cache, use_cache=True).logits[0].to(logits.dtype)
    hold_logits("decoding", step, logits[-1:])
    padding = torch.full((1, 5), ids[0], device=lm.device)
    mask = torch.cat([torch.zeros_like(padding), torch.ones_like(clean.ids)], dim=1)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    padded = lm.hf(torch.cat([padding, clean.ids], dim=1), attention_mask=mask, position_ids=positions, use_cache=False)
    hold_logits("padding", padded.logits[0, padding.shape[1] + START :].to(logits.dtype))
