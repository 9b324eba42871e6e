"""Check the replacements of components: frozen means, zeros, or sampled positions."""

import numpy as np
import pytest
import torch

from wor.engine.capture import Span, capture
from wor.engine.reference import balance, pool_summaries, summarise_run

CASES = [(list(range(3, 33)), Span(18, 27)), (list(range(40, 60)), Span(8, 20))]


@pytest.fixture(scope="module")
def passes(lm):
    return [capture(lm, ids, window) for ids, window in CASES]


@pytest.fixture(scope="module")
def reference(passes):
    summaries = [summarise_run(clean, samples=5) for clean in passes]
    return pool_summaries({name: np.stack([summary[name] for summary in summaries]) for name in summaries[0]})


def test_means_weigh_each_position_alike(passes, reference):
    for name, attribute in (("mlp", "mlp_out"), ("attention", "attention_out"), ("head", "head_out"), ("belief", "hidden")):
        outputs = torch.cat([getattr(clean, attribute) for clean in passes], dim=1).double()
        assert torch.allclose(getattr(reference, name), outputs.mean(1).float(), atol=1e-6)


def test_samples_are_outputs_of_real_positions(passes, reference):
    outputs = torch.cat([clean.mlp_out for clean in passes], dim=1).transpose(0, 1)  # [positions, L, D]
    assert reference.mlp_samples.shape == (10, 4, 32)
    for sample in reference.mlp_samples:
        assert (outputs == sample).flatten(1).all(1).any()
    assert reference.head_samples.shape == (10, 4, 4, 8)


def test_a_window_shorter_than_the_samples_is_sampled_again():
    class Short:
        windows = (Span(0, 2),)
        mlp_out = attention_out = torch.arange(2.0).expand(3, 2)[..., None]
        head_out = torch.zeros(3, 2, 1, 1)
        hidden = torch.zeros(4, 2, 1)

    assert summarise_run(Short(), 4)["mlp_samples"][:, 0, 0].tolist() == [0, 0, 1, 1]


def test_few_samples_are_not_all_of_the_windows_first_position(passes):
    clean = passes[0]  # nine positions
    outputs = clean.mlp_out.transpose(0, 1)
    for samples, positions in ((1, [4]), (2, [2, 6])):
        assert (summarise_run(clean, samples)["mlp_samples"] == outputs[positions].numpy()).all()


def test_replacements_by_mode(reference):
    assert torch.equal(reference.replacement("mlp", "mean", 7), reference.mlp)
    assert torch.equal(reference.replacement("layer", "mean", 7), reference.mlp + reference.attention)
    assert not reference.replacement("head", "zero", 7).any()
    assert reference.replacement("head", "zero", 7).shape == reference.head.shape
    resampled = reference.replacement("mlp", "resample", 7, seed=1, name="a")
    assert resampled.shape == (4, 7, 32)
    samples = reference.mlp_samples.transpose(0, 1)
    for position in range(7):
        assert (samples == resampled[:, [position]]).all(-1).all(0).any(), "one position for all layers"


def test_resampling_is_keyed_by_seed_and_name(reference):
    mlp = reference.replacement("mlp", "resample", 7, seed=1, name="a")
    assert torch.equal(mlp, reference.replacement("mlp", "resample", 7, seed=1, name="a"))
    assert not torch.equal(mlp, reference.replacement("mlp", "resample", 7, seed=1, name="b"))
    assert not torch.equal(mlp, reference.replacement("mlp", "resample", 7, seed=2, name="a"))
    # Attention and MLP are sampled at the same positions, so a layer's whole update did occur.
    layer = reference.replacement("layer", "resample", 7, seed=1, name="a")
    assert torch.equal(layer, reference.replacement("attention", "resample", 7, seed=1, name="a") + mlp)


def test_a_balanced_reference_weighs_classes_alike_and_positions_alike_within_them(lm, passes):
    """Check against a plain float64 mean over every window position of each class."""
    classes = [passes, [capture(lm, list(range(5, 64)), Span(20, 59))]]
    references = []
    for members, samples in zip(classes, (3, 4), strict=True):
        summaries = [summarise_run(clean, samples) for clean in members]
        references.append(pool_summaries({name: np.stack([summary[name] for summary in summaries]) for name in summaries[0]}))
    balanced = balance(references)
    for name, attribute in (("mlp", "mlp_out"), ("attention", "attention_out"), ("head", "head_out"), ("belief", "hidden")):
        means = [
            np.concatenate([getattr(clean, attribute).double().numpy() for clean in members], axis=1).mean(1)
            for members in classes
        ]
        assert np.allclose(getattr(balanced, name), (means[0] + means[1]) / 2, atol=1e-6)
    assert len(balanced.mlp_samples) == 8  # four of each class
    for part, reference in zip((balanced.mlp_samples[:4], balanced.mlp_samples[4:]), references, strict=True):
        assert all((reference.mlp_samples == sample).flatten(1).all(1).any() for sample in part)
