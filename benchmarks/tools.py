"""Run the same interventions by the engine and by other tools, with one function per tool.

A tool is made from a model's folder, as a function ``apl(ids, start, replacement, layers)``. It
returns KL(clean || changed) in nats, ``[len(layers), W]``, with one layer's MLP output replaced
from ``start`` to the end. The loops do one full forward pass per layer, after a clean one. The
engine does all layers at once, and its result is cut to ``layers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from wor.engine import ablate
from wor.engine.capture import Span, capture, registered_hooks
from wor.engine.model import LM

Apl = Callable[[torch.Tensor, int, torch.Tensor, Sequence[int]], torch.Tensor]


def transformers_model(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def kl(clean: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return the KL of two logits [W, V] at each position: [W] nats."""
    log_p, log_q = clean.log_softmax(-1), changed.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def loop(run: Callable[..., torch.Tensor]) -> Apl:
    """Make a tool of ``run(ids, start, layer, value)``, which returns the window's logits.

    A ``layer`` of None is the clean pass.
    """

    @torch.inference_mode()
    def apl(ids, start, replacement, layers):
        clean = run(ids, start, None, None)
        return torch.stack([kl(clean, run(ids, start, layer, replacement[layer])) for layer in layers])

    return apl


def engine(folder: Path) -> Apl:
    lm = LM(transformers_model(folder))

    def apl(ids, start, replacement, layers):
        clean = capture(lm, ids[0].tolist(), Span(start, ids.shape[1]))
        return ablate.layer_kl(lm, clean, "mlp", replacement)[list(layers)]

    apl.lm = lm
    return apl


def hooked(hf, window_logits: bool = False) -> Apl:
    def run(ids, start, layer, value):
        def replace(module, args, output):
            output = output.clone()
            output[:, start:] = value
            return output

        hooks = [] if layer is None else [(hf.model.layers[layer].mlp.register_forward_hook, replace)]
        with registered_hooks(*hooks):
            keep = {"logits_to_keep": ids.shape[1] - start} if window_logits else {}
            return hf(ids, use_cache=False, **keep).logits[0, start - ids.shape[1] :]

    return loop(run)


def hook_loop(folder: Path) -> Apl:
    return hooked(transformers_model(folder))


def hook_loop_window_logits(folder: Path) -> Apl:
    """Compute the logits of the window only, as a careful loop does."""
    return hooked(transformers_model(folder), window_logits=True)


def transformer_lens(folder: Path) -> Apl:
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer = AutoTokenizer.from_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=transformers_model(folder), tokenizer=tokenizer, device="cpu"
    )

    def run(ids, start, layer, value):
        def replace(output, hook):
            output = output.clone()
            output[:, start:] = value
            return output

        hooks = [] if layer is None else [(f"blocks.{layer}.hook_mlp_out", replace)]
        return bridge.run_with_hooks(ids, fwd_hooks=hooks)[0, start:]

    return loop(run)


def nnsight(folder: Path) -> Apl:
    import nnsight

    model = nnsight.LanguageModel(transformers_model(folder), tokenizer=AutoTokenizer.from_pretrained(folder))

    def run(ids, start, layer, value):
        if layer is None:
            with model.trace(ids):
                logits = model.lm_head.output.save()
        else:
            with model.trace(ids):
                model.model.layers[layer].mlp.output[:, start:] = value
                logits = model.lm_head.output.save()
        return logits[0, start:]

    return loop(run)


TOOLS = {
    "engine": engine,
    "hook loop": hook_loop,
    "hook loop, window logits": hook_loop_window_logits,
    "TransformerLens": transformer_lens,
    "nnsight": nnsight,
}
