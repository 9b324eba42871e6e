"""Compare the engine with the model's own forward pass, before any number of a model is used."""

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
    """Check the engine on a short sequence. Raise UserError that names the first failed check.

    own pass : the residual stream from `capture` gives the model's own logits.
    attention rows : they sum to 1 and give the forward pass's own output.
    no-op : a component replaced by its own output leaves the logits unchanged.
    skipped mlp : the middle layer without its MLP gives what a full pass with a hook gives.
    decoding : one token on a cache gives the logits of the full pass.
    padding : tokens on the left change nothing, as `generate` needs.
    """
    ids = [(7 * position + 11) % lm.unembed.weight.shape[0] for position in range(LENGTH)]
    window, dtype = Span(START, LENGTH), attention.accumulation_dtype(lm.dtype)
    own_logits = lm.hf(torch.tensor([ids], device=lm.device), use_cache=False).logits[0, START:].to(dtype)
    scale = own_logits.std().clamp_min(torch.finfo(lm.dtype).tiny)

    def check(name: str, difference: float) -> None:
        if not difference <= TOLERANCE[lm.dtype]:
            value = f"{name} off by {difference:.2g} (at most {TOLERANCE[lm.dtype]:g})"
            remedy = "The engine's numbers would not be this model's. Use another model or dtype"
            raise UserError(f"self-test of {type(lm.hf).__name__}", value, remedy)

    def check_logits(name: str, logits: torch.Tensor, expected: torch.Tensor = own_logits) -> None:
        check(name, float((logits.to(dtype) - expected).abs().max() / scale))

    clean = capture(lm, ids, window)
    check_logits("own pass", lm.logits(clean.hidden[-1]))
    with attention.mode(attention.Recorder([START], LENGTH - START, checked=True)) as recorded:
        lm.base(clean.ids, use_cache=False)
    check("attention rows", recorded.error)
    check_logits("no-op mlp", lm.logits(ablate.patched_residual(lm, clean, "mlp", clean.mlp_out)))
    check_logits("no-op attention", lm.logits(ablate.patched_residual(lm, clean, "attention", clean.attention_out)))
    zero, middle = torch.zeros(lm.n_layers, lm.width), lm.n_layers // 2
    with ablate.replaced_output(lm, middle, "mlp", window, zero[middle].to(lm.device, lm.dtype)):
        hooked = lm.hf(clean.ids, use_cache=False).logits[0, START:].to(dtype)
    check_logits("skipped mlp", lm.logits(ablate.patched_residual(lm, clean, "mlp", zero)[middle]), hooked)
    cache = lm.hf(clean.ids[:, :-1], use_cache=True).past_key_values
    step = lm.hf(clean.ids[:, -1:], past_key_values=cache, use_cache=True).logits[0]
    check_logits("decoding", step, own_logits[-1:])
    padding = torch.full((1, 5), ids[0], device=lm.device)
    mask = torch.cat([torch.zeros_like(padding), torch.ones_like(clean.ids)], dim=1)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    padded = lm.hf(torch.cat([padding, clean.ids], dim=1), attention_mask=mask, position_ids=positions, use_cache=False)
    check_logits("padding", padded.logits[0, padding.shape[1] + START :])
