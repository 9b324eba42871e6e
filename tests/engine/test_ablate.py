"""Compare interventions with full forward passes of the transformers model with hooks on it."""

from functools import partial

import pytest
import torch

from wor.engine import ablate
from wor.engine.capture import Span, capture, registered_hooks
from wor.engine.load import choose_device, load

IDS = list(range(3, 33))
WINDOW = Span(18, 27)


def logits(lm, *registrations):
    with torch.inference_mode(), registered_hooks(*registrations):
        return lm.hf(torch.tensor([IDS])).logits[0, WINDOW.start : WINDOW.end]


def kl(clean, changed):
    """Return the KL by torch's own loss, not the engine's arithmetic."""
    p, q = clean.double().log_softmax(-1), changed.double().log_softmax(-1)
    return torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)


def naive(lm, component, replacement):
    """Return the KL of full passes. ``layer`` takes replacements of attention and MLP."""
    clean, rows = logits(lm), []
    for index, layer in enumerate(lm.layers):

        def replace(module, args, output, index=index, values=replacement):
            out = output if torch.is_tensor(output) else output[0]
            out = out.clone()
            out[:, WINDOW.start : WINDOW.end] = values[index]
            return out if torch.is_tensor(output) else (out, *output[1:])

        mlp, attention = layer.mlp.register_forward_hook, layer.attention.register_forward_hook
        if component == "layer":
            of_attention, of_mlp = replacement
            changes = [(attention, partial(replace, values=of_attention)), (mlp, partial(replace, values=of_mlp))]
        else:
            changes = [(mlp if component == "mlp" else attention, replace)]
        rows.append(kl(clean, logits(lm, *changes)))
    return torch.stack(rows)


def naive_heads(lm, reference):
    clean, rows = logits(lm), []
    for index, layer in enumerate(lm.layers):
        for head in range(lm.n_heads):

            def replace(module, args, index=index, head=head):
                heads = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                heads[:, WINDOW.start : WINDOW.end, head] = reference[index, ..., head, :]
                return (heads.flatten(-2),)

            rows.append(kl(clean, logits(lm, (layer.projection.register_forward_pre_hook, replace))))
    return torch.stack(rows).unflatten(0, (lm.n_layers, lm.n_heads))


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def assert_close(actual, expected, tolerance):
    assert expected.max() > 0.1, "the intervention does nothing; the test shows nothing"
    assert ((actual - expected).abs() / expected.clamp_min(1e-2)).max() < tolerance


def test_some_layers_are_rows_of_all(lm):
    clean = capture(lm, list(range(3, 33)), Span(18, 27))
    replacement = torch.randn(lm.n_layers, lm.width, generator=torch.Generator().manual_seed(1))
    everything = ablate.layer_kl(lm, clean, "layer", replacement)
    for layers in ([0, 2], range(1, 4, 2), [3]):
        assert torch.allclose(ablate.layer_kl(lm, clean, "layer", replacement, layers), everything[list(layers)], atol=1e-6)


def test_a_window_mean_is_that_of_the_components_outputs(lm):
    clean = capture(lm, list(range(3, 33)), Span(18, 27))
    assert torch.allclose(ablate.window_mean(clean, "mlp"), clean.mlp_out.mean(1))
    layer = clean.hidden[1:] - clean.hidden[:-1]
    assert torch.allclose(ablate.window_mean(clean, "layer"), layer.mean(1), atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 32), (4, len(WINDOW), 32)], ids=["constant", "by position"])
@pytest.mark.parametrize("component", ["mlp", "attention", "layer"])
def test_layer_ablation_equals_full_passes(lm, lm64, component, shape):
    replacement = draw(*shape)
    for model, tolerance in ((lm, 1e-4), (lm64, 1e-9)):
        clean, values = capture(model, IDS, WINDOW), replacement.to(model.dtype)
        whole = component == "layer"
        actual = ablate.layer_kl(model, clean, component, 2 * replacement if whole else replacement)
        assert_close(actual, naive(model, component, (values, values) if whole else values), tolerance)


def test_zero_leaves_the_layers_update_out(lm64):
    """Compare with a model whose layer is skipped over the window: its output is its input."""
    kl_of_layers = ablate.layer_kl(lm64, capture(lm64, IDS, WINDOW), "layer", torch.zeros(4, 32))
    clean, rows = logits(lm64), []
    for layer in lm64.layers:

        def skip(module, args, output):
            output = output.clone()
            output[:, WINDOW.start : WINDOW.end] = args[0][:, WINDOW.start : WINDOW.end]
            return output

        rows.append(kl(clean, logits(lm64, (layer.block.register_forward_hook, skip))))
    assert_close(kl_of_layers, torch.stack(rows), 1e-9)


@pytest.mark.parametrize("shape", [(4, 4, 8), (4, len(WINDOW), 4, 8)], ids=["constant", "by position"])
def test_head_ablation_equals_full_passes(lm, lm64, shape):
    replacement = draw(*shape)
    for model, tolerance in ((lm, 1e-4), (lm64, 1e-9)):
        actual = ablate.head_kl(model, capture(model, IDS, WINDOW), replacement)
        assert_close(actual, naive_heads(model, replacement.to(model.dtype)), tolerance)


def test_the_only_head_with_an_effect_is_found(tiny_folder):
    lm, only = load(tiny_folder, choose_device("cpu", "float64", 1)), (2, 1)
    with torch.no_grad():
        for index, layer in enumerate(lm.layers):
            heads = layer.projection.weight.unflatten(1, (lm.n_heads, lm.head_dim))
            heads[:, [head for head in range(lm.n_heads) if (index, head) != only]] = 0
    kl = ablate.head_kl(lm, capture(lm, IDS, WINDOW), draw(4, 4, 8)).mean(-1)
    assert kl[only] > 1e-4
    kl[only] = 0
    assert kl.max() < 1e-9


def test_batches_of_layers_change_nothing(lm64):
    """Compare a budget for two layers at a time with one for all layers at once."""
    clean = capture(lm64, IDS, WINDOW)
    replacement, heads = draw(4, 32), draw(4, 4, 8)
    in_one_batch = ablate.layer_kl(lm64, clean, "mlp", replacement), ablate.head_kl(lm64, clean, heads)
    budget, lm64.memory = lm64.memory, 2 * ablate._bytes_per_copy(lm64, clean)
    try:
        in_batches = ablate.layer_kl(lm64, clean, "mlp", replacement), ablate.head_kl(lm64, clean, heads)
    finally:
        lm64.memory = budget
    for expected, actual in zip(in_one_batch, in_batches, strict=True):
        assert (actual - expected).abs().max() < 1e-9


def test_the_final_residual_stream_is_exact_in_float64(lm64):
    replacement = draw(4, 32)
    patched = ablate.patched_residual(lm64, capture(lm64, IDS, WINDOW), "mlp", replacement)
    for index in range(4):
        last = []
        with (
            torch.inference_mode(),
            ablate.replaced_output(lm64, index, "mlp", WINDOW, replacement[index]),
            registered_hooks((lm64.norm.register_forward_pre_hook, lambda module, args, last=last: last.append(args[0]))),
        ):
            lm64.hf(torch.tensor([IDS]))
        assert (patched[index] - last[0][0, WINDOW.start : WINDOW.end]).abs().max() < 1e-9


@pytest.mark.parametrize("component", ["mlp", "attention"])
def test_patching_an_activation_with_itself_changes_nothing(lm64, component):
    clean = capture(lm64, IDS, WINDOW)
    output = clean.mlp_out if component == "mlp" else clean.attention_out
    assert ablate.layer_kl(lm64, clean, component, output).max() < 1e-9
    assert ablate.head_kl(lm64, clean, clean.head_out).max() < 1e-9
    assert ablate.layer_kl(lm64, clean, "layer", clean.mlp_out + clean.attention_out).max() < 1e-9


def naive_accuracy(lm, ids, first, plan, reference):
    """Return one plan's accuracy by a full forward pass with hooks on the heads."""

    def replace(index):
        def hook(module, args):
            heads = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
            for layer, head in plan:
                if layer == index:
                    heads[:, first - 1 :, head] = reference[layer, head]
            return (heads.flatten(-2),)

        return hook

    registrations = [(layer.projection.register_forward_pre_hook, replace(i)) for i, layer in enumerate(lm.layers)]
    with torch.inference_mode(), registered_hooks(*registrations):
        predicted = lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1)
    return (predicted == torch.tensor(ids[first:])).float().mean().item()


def test_accuracy_under_removal_equals_full_passes(lm64):
    heads = draw(4, 4, 8)
    plans = [[], [(0, 1)], [(2, 3), (2, 0), (3, 1)], [(layer, head) for layer in range(4) for head in range(4)]]
    # The model's own greedy text, so that its clean accuracy is 1 and removal can lower it.
    ids = IDS[:12]
    with torch.inference_mode():
        for _ in range(24):
            ids = [*ids, lm64.hf(torch.tensor([ids])).logits[0, -1].argmax().item()]
    accuracies = ablate.removal_accuracy(lm64, ids, 12, plans, heads)
    assert accuracies == pytest.approx([naive_accuracy(lm64, ids, 12, plan, heads) for plan in plans])
    assert accuracies[0] == 1
    assert accuracies[-1] < 1


def hook_count(lm):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in lm.hf.modules())


@pytest.mark.parametrize("run", ["layer_kl", "head_kl", "removal_accuracy", "replaced"])
def test_no_hook_survives_a_failing_pass(lm, run, monkeypatch):
    before, clean = hook_count(lm), capture(lm, IDS, WINDOW)

    def broken(*args, **kwargs):
        raise RuntimeError("a kernel failed")

    monkeypatch.setattr(lm.layers[2].mlp, "forward", broken)
    calls = {
        "layer_kl": lambda: ablate.layer_kl(lm, clean, "mlp", draw(4, 32)),
        "head_kl": lambda: ablate.head_kl(lm, clean, draw(4, 4, 8)),
        "removal_accuracy": lambda: ablate.removal_accuracy(lm, IDS, 12, [[(0, 0)]], draw(4, 4, 8)),
        "replaced": lambda: _within_replaced(lm),
    }
    with pytest.raises(RuntimeError, match="a kernel failed"):
        calls[run]()
    assert hook_count(lm) == before
    monkeypatch.undo()
    # The attention has left the window's mode, too.
    assert torch.allclose(logits(lm), lm.logits(capture(lm, IDS, WINDOW).hidden[-1]), atol=1e-5)


def _within_replaced(lm):
    with ablate.replaced_output(lm, 1, "mlp", WINDOW, torch.zeros(len(WINDOW), 32)):
        lm.hf(torch.tensor([IDS]))
