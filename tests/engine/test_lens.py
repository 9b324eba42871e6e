import numpy as np
import torch
from scipy.spatial.distance import jensenshannon

from wor.engine.capture import Span, capture
from wor.engine.lens import settling


def test_divergence_equals_scipys(lm):
    clean = capture(lm, list(range(3, 33)), Span(20, 26))
    found = settling(lm, clean.hidden).numpy()
    with torch.inference_mode():
        predictions = lm.logits(clean.hidden[1:]).double().softmax(-1).numpy()
    expected = jensenshannon(predictions, predictions[-1:], base=2, axis=-1) ** 2
    assert found.shape == (4, 6)
    assert np.abs(found - expected).max() < 1e-5


def test_the_last_layer_has_settled_and_none_leaves_the_unit_interval(lm):
    clean = capture(lm, list(range(3, 33)), Span(20, 26))
    found = settling(lm, clean.hidden)
    assert found[-1].max() < 1e-6
    assert found.min() >= 0
    assert found.max() <= 1


def test_disjoint_predictions_are_one_bit_apart(lm):
    directions = lm.unembed.weight[[5, 6]] * 1e4
    hidden = torch.stack([directions[:1], directions[:1], directions[1:]])
    assert settling(lm, hidden)[0].item() > 0.95
