"""Compare predictions by blocks with whole rows of logits, in torch's and scipy's own formulas."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from wor.engine import unembed
from wor.engine.capture import Span, capture

IDS = list(range(3, 33))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Make several blocks and groups of rows of a tiny vocabulary, the last of each not full."""
    monkeypatch.setattr(unembed, "BLOCK", 150)
    monkeypatch.setattr(unembed, "ROWS", 16)
    monkeypatch.setattr(unembed, "LENS_LAYERS", 3)


def exact_kl(lm, clean, changed):
    p, q = (lm.logits(hidden).double().log_softmax(-1) for hidden in (clean, changed))
    return torch.nn.functional.kl_div(q, p.expand_as(q), log_target=True, reduction="none").sum(-1)


@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0])
def test_kl_is_exact_down_to_small_divergences(lm64, size):
    torch.manual_seed(0)
    clean = torch.randn(6, 32, dtype=torch.float64)
    changed = clean + size * torch.randn(5, 6, 32, dtype=torch.float64)
    expected = exact_kl(lm64, clean, changed)
    assert ((unembed.kl(lm64, clean, changed) - expected).abs() / expected).max() < 1e-7


def test_kl_in_float32_keeps_small_divergences(lm, lm64):
    """Check a KL of 1e-8, which log p - log q in float32 would lose in rounding of 1e-7."""
    torch.manual_seed(0)
    clean = torch.randn(6, 32)
    changed = clean + 1e-4 * torch.randn(5, 6, 32)
    expected = exact_kl(lm64, clean.double(), changed.double())
    assert expected.max() < 1e-6
    assert ((unembed.kl(lm, clean, changed) - expected).abs() / expected).max() < 1e-2


def test_kl_survives_predictions_that_exclude_each_other(lm, lm64):
    """Move all mass from one token to another. The logits differ by hundreds, so e^d overflows."""
    with torch.inference_mode():
        clean, changed = (1e3 * lm.unembed.weight[[token]] for token in (5, 6))
        logits = lm.logits(torch.stack([clean, changed])).double()
        gain = 400 / (logits[0, 0, 5] - logits[0, 0, 6])

        class Sharp(unembed.Readout):  # the same model with its logits scaled up
            norm, unembed = lm.norm, torch.nn.Linear(32, 320, bias=False)

        Sharp.unembed.weight.data = lm.unembed.weight * gain
        divergence = unembed.kl(Sharp(), clean, changed[None])
        p, q = (Sharp().logits(hidden).double().log_softmax(-1) for hidden in (clean, changed))
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)
    assert expected.min() > 100
    assert torch.allclose(divergence.double(), expected, rtol=1e-4)


def test_kl_does_not_care_for_a_common_shift_of_the_logits(lm64):
    """Move far along the direction that raises every logit alike, which changes no prediction."""
    torch.manual_seed(1)
    clean = torch.randn(2, 32, dtype=torch.float64)

    class Shifted(unembed.Readout):
        norm, unembed = torch.nn.Identity(), torch.nn.Linear(32, 320, bias=False, dtype=torch.float64)

    weight = torch.randn(320, 32, dtype=torch.float64)
    weight[:, 0] = 1.0
    Shifted.unembed.weight.data = weight
    changed = clean.clone()[None]
    changed[..., 0] += 40
    with torch.inference_mode():
        assert unembed.kl(Shifted(), clean, changed).max() < 1e-9
        changed[..., 0] -= 80
        assert unembed.kl(Shifted(), clean, changed).max() < 1e-9


def test_a_cap_keeps_the_digits_of_a_small_change():
    """Check a change of logits in float32 where tanh(a + b) - tanh(a) would lose half of them."""
    readout = unembed.Readout()
    readout.softcap = 30.0
    logits, change = torch.linspace(-60, 60, 25, dtype=torch.float64), torch.full((25,), 1e-4, dtype=torch.float64)
    expected = readout.cap(logits + change) - readout.cap(logits)
    actual = readout.cap_change(change.float(), readout.cap(logits.float()))
    assert ((actual - expected).abs() / expected).max() < 1e-4


@pytest.mark.parametrize("scale", [0.1, 1, 50])  # from nearly uniform to nearly certain
def test_scores_are_those_of_whole_rows(scale):
    torch.manual_seed(0)

    class Plain(unembed.Readout):
        norm = torch.nn.Identity()
        unembed = torch.nn.Linear(32, 320, bias=False, dtype=torch.float64)

    Plain.unembed.weight.data = scale * torch.randn(320, 32, dtype=torch.float64)
    hidden, targets = torch.randn(40, 32, dtype=torch.float64), torch.randint(0, 320, (40,))
    with torch.inference_mode():
        scores = unembed.score_targets(Plain(), hidden, targets)
        expected = torch.distributions.Categorical(logits=Plain.unembed(hidden))
    assert (scores.log_prob - expected.log_prob(targets)).abs().max() < 1e-9
    assert (scores.entropy - expected.entropy()).abs().max() < 1e-9


def test_the_best_token_is_the_largest_logit(lm):
    torch.manual_seed(0)
    hidden = torch.randn(3, 40, 32)
    assert torch.equal(unembed.argmax_token(lm, hidden), lm.logits(hidden).argmax(-1))


def test_divergence_equals_scipys(lm, lm64):
    for model, tolerance in ((lm, 1e-5), (lm64, 1e-9)):
        clean = capture(model, IDS, Span(20, 26))
        jsd = unembed.logit_lens(model, clean.hidden[1:], clean.hidden[-1]).jsd.numpy()
        with torch.inference_mode():
            predictions = model.logits(clean.hidden[1:]).double().softmax(-1).numpy()
        expected = jensenshannon(predictions, predictions[-1:], base=2, axis=-1) ** 2
        assert jsd.shape == (4, 6)
        assert np.abs(jsd - expected).max() < tolerance


def test_what_the_lens_reads_beside_the_divergence(lm, lm64):
    for model, tolerance in ((lm, 1e-4), (lm64, 1e-9)):
        clean = capture(model, IDS, Span(20, 26))
        lens = unembed.logit_lens(model, clean.hidden[1:], clean.hidden[-1])
        with torch.inference_mode():
            log_p = model.logits(clean.hidden[1:]).double().log_softmax(-1)
        argmax = log_p[-1].argmax(-1)
        kl = (log_p.exp() * (log_p - log_p[-1])).sum(-1)
        assert (lens.kl - kl).abs().max() < tolerance
        assert (lens.entropy - torch.special.entr(log_p.exp()).sum(-1)).abs().max() < tolerance
        assert (lens.probability - log_p.exp()[:, range(6), argmax]).abs().max() < tolerance
        assert torch.equal(lens.ranked_first, log_p.argmax(-1) == argmax)
        assert lens.kl.min() >= 0
        assert lens.ranked_first[-1].all()


def test_the_last_layer_has_settled_and_none_leaves_the_unit_interval(lm):
    clean = capture(lm, IDS, Span(20, 26))
    jsd = unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1]).jsd
    assert jsd[-1].max() < 1e-6
    assert jsd.min() >= 0
    assert jsd.max() <= 1


def test_disjoint_predictions_are_one_bit_apart(lm):
    directions = lm.unembed.weight[[5, 6]] * 1e4
    assert unembed.logit_lens(lm, directions[None, :1], directions[1:]).jsd.item() > 0.95
