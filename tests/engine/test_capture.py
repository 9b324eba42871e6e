import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from wor.engine import attention
from wor.engine.capture import Span, capture, mean_beliefs, registered_hooks

IDS = list(range(3, 33))
WINDOW = Span(18, 27)


@pytest.fixture(scope="module")
def eager(tiny_folder):
    """Return transformers' own outputs, with its eager attention."""
    hf = AutoModelForCausalLM.from_pretrained(tiny_folder, attn_implementation="eager")
    with torch.inference_mode():
        return hf(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)


def test_entropy_equals_that_of_eager_attention(lm, eager):
    clean = capture(lm, IDS, WINDOW)
    rows = torch.stack(eager.attentions)[:, 0, :, 18:27].double()
    assert torch.allclose(rows.sum(-1), torch.ones(()).double(), atol=1e-6)
    expected = -(rows * rows.clamp_min(1e-300).log()).sum(-1)
    assert (clean.entropy - expected).abs().max() < 1e-5


def test_entropy_without_the_sink_renormalises(lm, eager):
    clean = capture(lm, IDS, WINDOW)
    rows = torch.stack(eager.attentions)[:, 0, :, 18:27, 1:].double()
    rows = rows / rows.sum(-1, keepdim=True)
    expected = torch.distributions.Categorical(probs=rows).entropy()
    assert (clean.entropy_no_sink - expected).abs().max() < 1e-5


def test_entropy_of_known_rows():
    rows = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]])
    plain, no_sink = attention.entropies(rows)
    assert plain.tolist() == pytest.approx([math.log(4), 0, math.log(2), math.log(2)])
    assert no_sink.tolist() == pytest.approx([math.log(3), 0, 0, math.log(2)])


def test_hidden_states_equal_those_of_transformers(lm, eager):
    clean = capture(lm, IDS, WINDOW)
    assert clean.hidden.shape == (5, 9, 32)
    for index in range(4):  # the last of transformers' is normalised
        assert torch.allclose(clean.hidden[index], eager.hidden_states[index][0, 18:27], atol=1e-5)
    assert torch.allclose(lm.norm(clean.hidden[-1]), eager.hidden_states[-1][0, 18:27], atol=1e-5)
    assert torch.allclose(lm.logits(clean.hidden[-1]), eager.logits[0, 18:27], atol=1e-5)


def test_middle_plus_mlp_is_the_next_residual_stream(lm):
    clean = capture(lm, IDS, WINDOW)
    for index in range(4):
        assert torch.allclose(clean.resid_mid(index) + clean.mlp_out[index], clean.hidden[index + 1], atol=1e-6)


def test_heads_projected_are_the_attention_output(lm):
    clean = capture(lm, IDS, WINDOW)
    for index, layer in enumerate(lm.layers):
        projected = layer.projection(clean.head_out[index].flatten(-2))
        assert torch.allclose(clean.hidden[index] + projected, clean.resid_mid(index), atol=1e-6)


def test_scores_are_those_of_the_full_logits(lm, eager):
    predictions = torch.distributions.Categorical(logits=eager.logits[0, :-1].double())
    expected = torch.stack([predictions.log_prob(torch.tensor(IDS)[1:]), predictions.entropy()]).float()
    assert torch.allclose(torch.stack(capture(lm, IDS, Span(0, 0), scored_from=1).scores), expected, atol=1e-5)
    assert torch.allclose(torch.stack(capture(lm, IDS, WINDOW, scored_from=11).scores), expected[:, 10:], atol=1e-5)
    assert torch.allclose(torch.stack(capture(lm, IDS, WINDOW, scored_from=1).scores), expected, atol=1e-5)


def test_beliefs_are_window_means_of_hidden_states(lm, eager):
    (means,), _ = mean_beliefs(lm, capture(lm, [99, *IDS[1:]], WINDOW), [IDS], [WINDOW])
    expected = [layer[0, 18:27].mean(0) for layer in eager.hidden_states[:-1]]  # the last is normalised
    assert torch.allclose(means[:-1], torch.stack(expected), atol=1e-5)
    assert torch.allclose(means[-1], capture(lm, IDS, WINDOW).hidden[-1].mean(0), atol=1e-5)


def test_beliefs_do_not_depend_on_the_batch_or_its_padding(lm):
    sequences, windows = [IDS, IDS[4:], [9, *IDS]], [WINDOW, Span(14, 23), Span(19, 28)]
    clean = capture(lm, IDS, WINDOW)
    means, _ = mean_beliefs(lm, clean, sequences, windows)
    assert means.shape == (3, 5, 32)
    for expected, ids, window in zip(means, sequences, windows, strict=True):
        assert torch.allclose(mean_beliefs(lm, clean, [ids], [window])[0][0], expected, atol=1e-5)


def test_a_beginning_that_all_share_is_passed_once_and_changes_nothing(lm64):
    """Try one token, a template's length and all before the window, and a run that shares none."""
    clean, unrelated = capture(lm64, IDS, WINDOW), capture(lm64, [99, *IDS[1:]], WINDOW)
    lengths = []
    for shared in (1, 11, 18, 30):
        sequences = [[*IDS[:shared], 60, 61, 62, *IDS[shared:]], [*IDS[:shared], *range(70, 70 + 30 - shared)]]
        windows = [Span(18, 27), Span(20, 29)]
        with registered_hooks(
            (lm64.layers[0].block.register_forward_pre_hook, lambda module, args: lengths.append(args[0].shape[1]))
        ):
            means, expected = (mean_beliefs(lm64, run, sequences, windows)[0] for run in (clean, unrelated))
        assert (means - expected).abs().max() < 1e-6  # means in float32
    assert lengths == [33 - 1, 33, 33 - 11, 33, 33 - 18, 33, 33 - 18, 33]


def test_nothing_after_the_window_changes_it(lm64):
    long, short = capture(lm64, IDS, WINDOW), capture(lm64, IDS[:27], WINDOW)
    assert (long.hidden - short.hidden).abs().max() < 1e-12
    assert (long.entropy - short.entropy).abs().max() < 1e-6


def hook_count(lm):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.hf.modules())


def test_no_hook_survives(lm):
    before = hook_count(lm)
    capture(lm, IDS, WINDOW)
    assert hook_count(lm) == before
    with pytest.raises(IndexError), registered_hooks((lm.norm.register_forward_hook, lambda *args: None)):
        raise IndexError
    assert hook_count(lm) == before


def test_no_hook_survives_a_failing_pass(lm, monkeypatch):
    before = hook_count(lm)

    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(lm.layers[2].mlp, "forward", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        capture(lm, IDS, WINDOW)
    assert hook_count(lm) == before
