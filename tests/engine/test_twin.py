import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.helpers.tiny_models import IDS, MODELS, ROTARY, WINDOW, make
from wor.engine import selftest
from wor.engine.capture import capture
from wor.engine.model import LM
from wor.engine.twin import NULL_KINDS, make_null_model

PERMUTED = [kind for kind in NULL_KINDS if kind != "initialised"]


def weights(lm):
    return {name: value.clone() for name, value in lm.hf.state_dict().items()}


def hidden(lm):
    return capture(lm, IDS, WINDOW).hidden


def test_an_initialised_null_has_the_shape_and_none_of_the_weights(lm):
    before = weights(lm)
    null = make_null_model(lm, "initialised", 5)
    trained, drawn = weights(lm), weights(null)
    assert trained.keys() == drawn.keys()
    for name, value in drawn.items():
        assert value.shape == trained[name].shape
        assert value.dtype == trained[name].dtype
        if "norm" not in name:  # norms are 1 in both
            assert not torch.equal(value, trained[name]), name
        assert torch.equal(trained[name], before[name])
    assert null.unembed.weight.data_ptr() == null.hf.get_input_embeddings().weight.data_ptr()  # tied, as in the model
    assert null.end_tokens == lm.end_tokens
    assert null.tokenizer is lm.tokenizer
    # Initialised as the architecture is, not by torch's default for a linear layer.
    inner = torch.cat([value.flatten() for name, value in drawn.items() if "proj" in name])
    assert abs(inner.std() / lm.hf.config.initializer_range - 1) < 0.03


@pytest.mark.parametrize("kind", NULL_KINDS)
def test_the_seed_alone_draws_it(lm, kind):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = make_null_model(lm, kind, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    same_seed, other_seed = make_null_model(lm, kind, 5), make_null_model(lm, kind, 6)
    outputs = [hidden(model) for model in (first, same_seed, other_seed, lm)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[3])


@pytest.mark.parametrize("kind", PERMUTED)
@pytest.mark.parametrize("name", MODELS)
def test_each_tensor_keeps_its_values_and_not_their_places(name, kind):
    lm = LM(make(name, torch.float32))
    before, null = weights(lm), make_null_model(lm, kind, 5)
    after, unembedding = weights(null), null.unembed.weight.data_ptr()
    assert before.keys() == after.keys()
    kept = set()
    for key, value in before.items():
        assert torch.equal(value, weights(lm)[key])  # the model itself is as it was
        assert torch.equal(value.flatten().sort().values, after[key].flatten().sort().values)
        if torch.equal(value, after[key]):
            kept.add(key)
    words = ("embed", "wte", "wpe", "lm_head", "norm", "ln_")
    expected = {key for key in before if any(word in key for word in words)} if kind == "permuted_embeddings_kept" else set()
    assert kept == expected
    tied = [model.unembed.weight.data_ptr() == model.hf.get_input_embeddings().weight.data_ptr() for model in (lm, null)]
    assert tied[0] == tied[1]
    assert unembedding != lm.unembed.weight.data_ptr()
    assert not torch.allclose(hidden(null), hidden(lm))
    selftest.run_selftest(null)


def test_two_tensors_of_a_shape_are_permuted_apart():
    """With one order for all, layers would keep how their weights fit together."""
    lm = LM(make("llama", torch.float32))
    shape = lm.layers[0].mlp.down_proj.weight.shape
    for layer in lm.layers:
        layer.mlp.down_proj.weight.data = torch.arange(shape.numel(), dtype=torch.float32).view(shape)
    first, second = (layer.mlp.down_proj.weight for layer in make_null_model(lm, "permuted", 0).layers[:2])
    assert (first == second).float().mean() < 0.05


def test_attention_before_training_is_uniform_and_what_differs_is_a_draw():
    """Why one untrained network is no null: its APE hardly varies, and by seed otherwise."""
    config = LlamaConfig(**ROTARY | {"hidden_size": 64, "head_dim": 16, "initializer_range": 0.02})
    torch.manual_seed(3)
    lm = LM(LlamaForCausalLM(config))
    for name, tensor in lm.hf.named_parameters():
        if "proj" in name:
            tensor.data *= 12  # as large as trained weights are
    items = torch.randint(0, 320, (24, 40), generator=torch.Generator().manual_seed(0))

    def ape(model):
        model.hf.set_attn_implementation("eager")
        with torch.inference_mode():
            rows = torch.stack(model.hf(items, output_attentions=True).attentions)[..., 24:, :]
        return (torch.special.entr(rows).sum(-1) / torch.arange(25, 41).log()).mean((0, 2, 3))

    nulls = {kind: torch.stack([ape(make_null_model(lm, kind, seed)) for seed in range(4)]) for kind in NULL_KINDS[:2]}
    trained = ape(lm)
    assert nulls["initialised"].min() > 0.999
    assert nulls["initialised"].std(1).max() < 0.01 * trained.std()
    assert nulls["permuted"].std(1).min() > 0.1 * trained.std()
    between_seeds = torch.corrcoef(nulls["initialised"])[torch.triu(torch.ones(4, 4), 1) > 0]
    assert between_seeds.max() < 0.7
    assert between_seeds.mean() < 0.3
