import torch

from wor.engine.capture import Span, capture
from wor.engine.twin import random_twin

IDS = list(range(2, 40))


def test_a_twin_has_the_shape_and_none_of_the_weights(lm):
    before = {name: value.clone() for name, value in lm.hf.state_dict().items()}
    twin = random_twin(lm, 5)
    weights, twin_weights = lm.hf.state_dict(), twin.hf.state_dict()
    assert weights.keys() == twin_weights.keys()
    for name, value in twin_weights.items():
        assert value.shape == weights[name].shape
        assert value.dtype == weights[name].dtype
        if "norm" not in name:  # norms are 1 in both
            assert not torch.equal(value, weights[name]), name
        assert torch.equal(weights[name], before[name])
    assert twin.unembed.weight.data_ptr() == twin.hf.get_input_embeddings().weight.data_ptr()  # tied, as in the model
    assert twin.end_tokens == lm.end_tokens
    assert twin.tokenizer is lm.tokenizer
    # Initialised as the architecture is, not by torch's default for a linear layer.
    inner = torch.cat([value.flatten() for name, value in twin_weights.items() if "proj" in name])
    assert abs(inner.std() / lm.hf.config.initializer_range - 1) < 0.03


def test_the_seed_alone_draws_it(lm):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = random_twin(lm, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    same_seed, other_seed = random_twin(lm, 5), random_twin(lm, 6)
    hidden = [capture(model, IDS, Span(10, 30)).hidden for model in (first, same_seed, other_seed, lm)]
    assert torch.equal(hidden[0], hidden[1])
    assert not torch.allclose(hidden[0], hidden[2])
    assert not torch.allclose(hidden[0], hidden[3])
