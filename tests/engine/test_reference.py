"""What stands in for a part: frozen means, nothing, or a sampled position."""

import numpy as np
import pytest
import torch

from wor.engine.capture import Span, capture
from wor.engine.reference import pool_summaries, summarise_run

CASES = [(list(range(3, 33)), Span(18, 27)), (list(range(40, 60)), Span(8, 20))]


@pytest.fixture(scope="module")
def passes(lm):
    return [capture(lm, ids, window) for ids, window in CASES]


@pytest.fixture(scope="module")
def made(passes):
    summaries = [summarise_run(clean, samples=5) for clean in passes]
    return pool_summaries({name: np.stack([each[name] for each in summaries]) for name in summaries[0]})


def test_means_weigh_each_position_alike(passes, made):
    for name, attribute in (("mlp", "mlp_out"), ("attention", "attention_out"), ("head", "head_out"), ("belief", "hidden")):
        together = torch.cat([getattr(clean, attribute) for clean in passes], dim=1).double()
        assert torch.allclose(getattr(made, name), together.mean(1).float(), atol=1e-6)


def test_samples_are_outputs_of_real_positions(passes, made):
    outputs = torch.cat([clean.mlp_out for clean in passes], dim=1).transpose(0, 1)  # [positions, L, D]
    assert made.mlp_samples.shape == (10, 4, 32)
    for sample in made.mlp_samples:
        assert (outputs == sample).flatten(1).all(1).any()
    assert made.head_samples.shape == (10, 4, 4, 8)


def test_a_window_shorter_than_the_samples_is_sampled_again():
    class Short:
        window = Span(0, 2)
        mlp_out = attention_out = torch.arange(2.0).expand(3, 2)[..., None]
        head_out = torch.zeros(3, 2, 1, 1)
        hidden = torch.zeros(4, 2, 1)

    assert summarise_run(Short(), 4)["mlp_samples"][:, 0, 0].tolist() == [0, 0, 1, 1]


def test_few_samples_are_not_all_of_the_windows_first_position(passes):
    clean = passes[0]  # nine positions
    outputs = clean.mlp_out.transpose(0, 1)
    for samples, positions in ((1, [4]), (2, [2, 6])):
        assert (summarise_run(clean, samples)["mlp_samples"] == outputs[positions].numpy()).all()


def test_stand_ins(made):
    assert torch.equal(made.replacement("mlp", "mean", 7), made.mlp)
    assert torch.equal(made.replacement("layer", "mean", 7), made.mlp + made.attention)
    assert not made.replacement("head", "zero", 7).any()
    assert made.replacement("head", "zero", 7).shape == made.head.shape
    drawn = made.replacement("mlp", "resample", 7, seed=1, name="a")
    assert drawn.shape == (4, 7, 32)
    samples = made.mlp_samples.transpose(0, 1)
    for position in range(7):
        assert (samples == drawn[:, [position]]).all(-1).all(0).any(), "one position for all layers"


def test_resampling_is_keyed_by_seed_and_name(made):
    one = made.replacement("mlp", "resample", 7, seed=1, name="a")
    assert torch.equal(one, made.replacement("mlp", "resample", 7, seed=1, name="a"))
    assert not torch.equal(one, made.replacement("mlp", "resample", 7, seed=1, name="b"))
    assert not torch.equal(one, made.replacement("mlp", "resample", 7, seed=2, name="a"))
    # Attention's and the MLP's are of the same positions, so that a whole layer's update is one that occurred.
    layer = made.replacement("layer", "resample", 7, seed=1, name="a")
    assert torch.equal(layer, made.replacement("attention", "resample", 7, seed=1, name="a") + one)
