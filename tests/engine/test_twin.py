import torch

from wor.engine.capture import Span, capture
from wor.engine.twin import random_twin

IDS = list(range(2, 40))


def test_a_twin_has_the_shape_and_none_of_the_weights(lm):
    before = {name: value.clone() for name, value in lm.hf.state_dict().items()}
    twin = random_twin(lm, 5)
    ours, theirs = lm.hf.state_dict(), twin.hf.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert value.shape == ours[name].shape
        assert value.dtype == ours[name].dtype
        if "norm" not in name:  # which begin at 1 in both
            assert not torch.equal(value, ours[name]), name
        assert torch.equal(ours[name], before[name])
    assert twin.unembed.weight.data_ptr() == twin.hf.get_input_embeddings().weight.data_ptr()  # tied, as in the model
    assert twin.end_tokens == lm.end_tokens
    assert twin.tokenizer is lm.tokenizer
    # As the architecture is initialised: normal weights at the configured width, not torch's default for a linear layer.
    inner = torch.cat([value.flatten() for name, value in theirs.items() if "proj" in name])
    assert abs(inner.std() / lm.hf.config.initializer_range - 1) < 0.03


def test_the_seed_alone_draws_it(lm):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one = random_twin(lm, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    two, other = random_twin(lm, 5), random_twin(lm, 6)
    found = [capture(model, IDS, Span(10, 30)).hidden for model in (one, two, other, lm)]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    assert not torch.allclose(found[0], found[3])
