"""Interventions against the obvious way: a full forward pass of the transformers model with hooks on it."""

import pytest
import torch

from wor.engine import ablate
from wor.engine.capture import Span, capture, hooks

IDS = list(range(3, 33))
WINDOW = Span(18, 27)


def logits(lm, *registrations):
    with torch.inference_mode(), hooks(*registrations):
        return lm.hf(torch.tensor([IDS])).logits[0, WINDOW.start : WINDOW.end]


def kl(clean, changed):
    """By torch's own loss, not the engine's arithmetic."""
    p, q = clean.double().log_softmax(-1), changed.double().log_softmax(-1)
    return torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)


def naive_mlp(lm, reference):
    clean, rows = logits(lm), []
    for index, layer in enumerate(lm.layers):

        def replace(module, args, output, index=index):
            output = output.clone()
            output[:, WINDOW.start : WINDOW.end] = reference[index]
            return output

        rows.append(kl(clean, logits(lm, (layer.mlp.register_forward_hook, replace))))
    return torch.stack(rows)


def naive_heads(lm, reference):
    clean, rows = logits(lm), []
    for index, layer in enumerate(lm.layers):
        for head in range(lm.n_heads):

            def replace(module, args, index=index, head=head):
                heads = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                heads[:, WINDOW.start : WINDOW.end, head] = reference[index, head]
                return (heads.flatten(-2),)

            rows.append(kl(clean, logits(lm, (layer.self_attn.o_proj.register_forward_pre_hook, replace))))
    return torch.stack(rows).unflatten(0, (lm.n_layers, lm.n_heads))


@pytest.fixture(scope="module")
def references():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(4, 32, generator=generator, dtype=torch.float64),
        torch.randn(4, 4, 8, generator=generator, dtype=torch.float64),
    )


def test_mlp_ablation_equals_full_passes(lm, lm64, references):
    for model, tolerance in ((lm, 1e-4), (lm64, 1e-9)):
        found = ablate.mlp_kl(model, capture(model, IDS, WINDOW), references[0])
        expected = naive_mlp(model, references[0].to(model.dtype))
        assert expected.max() > 0.1, "the intervention does nothing; the test shows nothing"
        assert ((found - expected).abs() / expected.clamp_min(1e-2)).max() < tolerance


def test_head_ablation_equals_full_passes(lm, lm64, references):
    for model, tolerance in ((lm, 1e-4), (lm64, 1e-9)):
        found = ablate.head_kl(model, capture(model, IDS, WINDOW), references[1])
        expected = naive_heads(model, references[1].to(model.dtype))
        assert expected.max() > 0.1
        assert ((found - expected).abs() / expected.clamp_min(1e-2)).max() < tolerance


def test_the_final_residual_stream_is_exact_in_float64(lm64, references):
    clean = capture(lm64, IDS, WINDOW)
    widened = ablate._widen(lm64, clean, lambda index: (clean.middle[index] + references[0][index])[None])
    for index, layer in enumerate(lm64.layers):

        def replace(module, args, output, index=index):
            output = output.clone()
            output[:, WINDOW.start : WINDOW.end] = references[0][index]
            return output

        last = []
        with (
            torch.inference_mode(),
            hooks(
                (layer.mlp.register_forward_hook, replace),
                (lm64.norm.register_forward_pre_hook, lambda module, args, last=last: last.append(args[0])),
            ),
        ):
            lm64.hf(torch.tensor([IDS]))
        assert (widened[index] - last[0][0, WINDOW.start : WINDOW.end]).abs().max() < 1e-9


def test_patching_an_activation_with_itself_changes_nothing(lm64):
    clean = capture(lm64, IDS, WINDOW)
    for position in range(len(WINDOW)):
        one = capture(lm64, IDS[: WINDOW.start + position + 1], Span(WINDOW.start + position, WINDOW.start + position + 1))
        assert ablate.mlp_kl(lm64, one, clean.mlp_out[:, position]).max() < 1e-9
        assert ablate.head_kl(lm64, one, clean.head_out[:, position]).max() < 1e-9


def naive_accuracy(lm, ids, first, plan, reference):
    """One plan by one full forward pass, with hooks that replace the heads from the predicting position on."""

    def replace(index):
        def hook(module, args):
            heads = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
            for layer, head in plan:
                if layer == index:
                    heads[:, first - 1 :, head] = reference[layer, head]
            return (heads.flatten(-2),)

        return hook

    registrations = [(layer.self_attn.o_proj.register_forward_pre_hook, replace(i)) for i, layer in enumerate(lm.layers)]
    with torch.inference_mode(), hooks(*registrations):
        best = lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1)
    return (best == torch.tensor(ids[first:])).float().mean().item()


def test_accuracy_under_removal_equals_full_passes(lm64, references):
    plans = [[], [(0, 1)], [(2, 3), (2, 0), (3, 1)], [(layer, head) for layer in range(4) for head in range(4)]]
    # A text of the model's own choosing, so that its clean accuracy is high and removal has something to cost.
    ids = IDS[:12]
    with torch.inference_mode():
        for _ in range(24):
            ids = [*ids, lm64.hf(torch.tensor([ids])).logits[0, -1].argmax().item()]
    found = ablate.removal_accuracy(lm64, ids, 12, plans, references[1])
    assert found == pytest.approx([naive_accuracy(lm64, ids, 12, plan, references[1]) for plan in plans])
    assert found[0] == 1
    assert found[-1] < 1


def test_no_hook_survives_a_failing_removal(lm, references, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ablate._Window, "layer", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        ablate.removal_accuracy(lm, IDS, 12, [[(0, 0)]], references[1])
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in lm.hf.modules())
