"""Each architecture that the engine knows, tiny and random: the same exactness, self-test and refusals for all."""

from functools import partial

import pytest
import torch
import transformers as tf

from wor.engine import ablate, architectures, selftest
from wor.engine.capture import Span, capture, registered_hooks
from wor.engine.generate import generate
from wor.engine.model import LM
from wor.errors import UserError

IDS = [(11 * place + 5) % 300 for place in range(30)]
WINDOW = Span(18, 27)
COMMON = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "initializer_range": 0.2}
ROTARY = COMMON | {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
GPT2 = COMMON | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256}
NEOX = {key: value for key, value in ROTARY.items() if key not in ("num_key_value_heads", "head_dim")}
MODELS = {
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY, tie_word_embeddings=True)),
    "llama untied, no groups": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY | {"num_key_value_heads": 4})),
    "llama with biases": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY, attention_bias=True, mlp_bias=True)),
    "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**ROTARY, tie_word_embeddings=True)),
    "qwen3, wide heads": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**ROTARY | {"head_dim": 16})),
    "gemma": lambda: tf.GemmaForCausalLM(tf.GemmaConfig(**ROTARY)),
    "gpt-neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**NEOX, use_parallel_residual=True)),
    "gpt-neox in series": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**NEOX, use_parallel_residual=False)),
    "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)),
}


def make(name, dtype=torch.float64):
    torch.manual_seed(3)
    hf = MODELS[name]()
    for parameter in hf.parameters():  # biases start at 0, and would hide what is done to them
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return hf.to(dtype)


@pytest.fixture(params=MODELS, scope="module")
def lm(request):
    return LM(make(request.param))


def kl(p, q):
    p, q = p.double().log_softmax(-1), q.double().log_softmax(-1)
    return torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)


def logits(lm):
    with torch.inference_mode():
        return lm.hf(torch.tensor([IDS])).logits[0, WINDOW.start : WINDOW.end]


def test_self_test_passes_in_every_dtype_it_knows(request, lm):
    name = request.node.callspec.params["lm"]
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        selftest.run_selftest(LM(make(name, dtype)))


def test_captured_entropies_and_predictions_are_eager_attentions(request, lm):
    eager = make(request.node.callspec.params["lm"])
    eager.set_attn_implementation("eager")
    clean = capture(lm, IDS, WINDOW, scored_from=1)
    with torch.inference_mode():
        theirs = eager.eval()(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)
    rows = torch.stack(theirs.attentions)[:, 0, :, WINDOW.start : WINDOW.end].double()
    assert (clean.entropy - torch.special.entr(rows).sum(-1)).abs().max() < 1e-5
    for index in range(lm.n_layers):
        assert (clean.hidden[index] - theirs.hidden_states[index][0, WINDOW.start : WINDOW.end]).abs().max() < 1e-5
    expected = theirs.logits[0, :-1].log_softmax(-1).gather(-1, torch.tensor(IDS)[1:, None])[:, 0]
    assert (clean.scores.log_prob - expected).abs().max() < 1e-5


@pytest.mark.parametrize("part", ["mlp", "attention"])
def test_layer_ablation_equals_full_passes(lm, part):
    stand_in = torch.randn(lm.n_layers, lm.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = ablate.layer_kl(lm, capture(lm, IDS, WINDOW), part, stand_in)
    clean, expected = logits(lm), []
    for index in range(lm.n_layers):
        with ablate.replaced_output(lm, index, part, WINDOW, stand_in[index]):
            expected.append(kl(clean, logits(lm)))
    expected = torch.stack(expected)
    assert expected.max() > 0.01
    assert ((found - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_head_ablation_equals_full_passes(lm):
    heads = torch.randn(lm.n_layers, lm.n_heads, lm.head_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = ablate.head_kl(lm, capture(lm, IDS, WINDOW), heads)
    clean = logits(lm)
    for index in range(lm.n_layers):
        for head in range(lm.n_heads):

            def replace(module, args, index=index, head=head):
                whole = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                whole[:, WINDOW.start : WINDOW.end, head] = heads[index, head]
                return (whole.flatten(-2),)

            with registered_hooks((lm.layers[index].projection.register_forward_pre_hook, replace)):
                expected = kl(clean, logits(lm))
            assert ((found[index, head] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_a_whole_layer_skipped_equals_a_full_pass(lm):
    zero = torch.zeros(lm.n_layers, lm.width)
    found, clean = ablate.layer_kl(lm, capture(lm, IDS, WINDOW), "layer", zero), logits(lm)
    for index, layer in enumerate(lm.layers):

        def skip(module, args, output):
            whole = (output if torch.is_tensor(output) else output[0]).clone()
            whole[:, WINDOW.start : WINDOW.end] = args[0][:, WINDOW.start : WINDOW.end]
            return whole if torch.is_tensor(output) else (whole, *output[1:])

        with registered_hooks((layer.block.register_forward_hook, skip)):
            expected = kl(clean, logits(lm))
        assert expected.max() > 0.01
        assert ((found[index] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_accuracy_with_heads_removed_equals_full_passes(lm):
    heads = torch.randn(lm.n_layers, lm.n_heads, lm.head_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, plan = 12, [(0, 1), (1, 0), (1, 2), (2, 3)]
    clean = lm.hf(torch.tensor([IDS])).logits[0, first - 1 : -1].argmax(-1).tolist()
    ids = [*IDS[:first], *clean]  # some tokens that the model ranks first

    def replace(module, args, layer):
        whole = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
        for at, head in plan:
            if at == layer:
                whole[:, first - 1 :, head] = heads[at, head]
        return (whole.flatten(-2),)

    with registered_hooks(
        *((layer.projection.register_forward_pre_hook, partial(replace, layer=i)) for i, layer in enumerate(lm.layers))
    ):
        best = lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1)
    targets = torch.tensor(ids[first:])
    found = ablate.removal_accuracy(lm, ids, first, [[], plan], heads)
    assert found[1] == pytest.approx((best == targets).float().mean().item())
    untouched = (lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1) == targets).float().mean().item()
    assert found[0] == pytest.approx(untouched)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (1, 6), (12, 13), (29, 30)])
def test_windows_at_the_edges(lm, start, end):
    window, stand_in = Span(start, end), torch.ones(lm.n_layers, lm.width)
    found = ablate.layer_kl(lm, capture(lm, IDS, window), "mlp", stand_in)
    clean = lm.hf(torch.tensor([IDS])).logits[0, start:end]
    with ablate.replaced_output(lm, 1, "mlp", window, stand_in[1]):
        expected = kl(clean, lm.hf(torch.tensor([IDS])).logits[0, start:end])
    assert ((found[1] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


@pytest.mark.parametrize("name", MODELS)
def test_temperature_zero_is_greedy_decoding_of_transformers(name):
    theirs, lm = make(name, torch.float32).eval(), LM(make(name, torch.float32))
    (found,) = generate(lm, [IDS[:7]], ["a"], temperatures=[0.0], max_new_tokens=12, seed=0)
    ids = torch.tensor([IDS[:7]])
    said = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=1)
    assert found == said[0, 7:].tolist()


def test_a_models_own_repetition_penalty_is_left_out():
    """It would be no draw from softmax(logits / T), and would count the padding, so that batches mattered."""
    plain, given = make("qwen2", torch.float32), make("qwen2", torch.float32)
    given.generation_config.repetition_penalty = 5.0
    options = {"temperatures": [0.8] * 2, "max_new_tokens": 20, "seed": 0}
    prompts, names = [IDS[:5], IDS[3:15]], ["a", "b"]
    assert generate(LM(given), prompts, names, **options) == generate(LM(plain), prompts, names, **options)


def test_tokens_do_not_depend_on_the_batch(request, lm):
    lm = LM(make(request.node.callspec.params["lm"], torch.float32))
    prompts, names = [IDS[:5], IDS[3:15], IDS[7:16]], ["a", "b", "c"]
    options = {"max_new_tokens": 10, "seed": 0}
    together = generate(lm, prompts, names, temperatures=[0.8] * 3, **options)
    for prompt, name, found in zip(prompts, names, together, strict=True):
        assert generate(lm, [prompt], [name], temperatures=[0.8], **options) == [found]


def test_a_layer_that_adds_up_otherwise_fails_the_self_test(monkeypatch):
    """Granite's way: what a part gives is scaled before it is added. Module names alone would not show it."""
    hf = make("llama")
    plain = tf.models.llama.modeling_llama.LlamaDecoderLayer.forward

    def scaled(self, hidden_states, *args, **kwargs):
        return hidden_states + 0.5 * (plain(self, hidden_states, *args, **kwargs) - hidden_states)

    monkeypatch.setattr(tf.models.llama.modeling_llama.LlamaDecoderLayer, "forward", scaled)
    with pytest.raises(UserError, match=r"self-test of LlamaForCausalLM: no-op mlp off by"):
        selftest.run_selftest(LM(hf))


def test_attention_that_is_not_causal_softmax_fails_the_self_test(monkeypatch):
    from wor.engine import attention

    plain = attention.sdpa_attention_forward

    def sharper(module, query, key, value, mask, **kwargs):
        return plain(module, 1.1 * query, key, value, mask, **kwargs)

    monkeypatch.setattr(attention, "sdpa_attention_forward", sharper)
    with pytest.raises(UserError, match=r"self-test of LlamaForCausalLM: (attention rows|no-op \w+) off by"):
        selftest.run_selftest(LM(make("llama")))


def test_attention_over_a_sliding_window_is_refused():
    config = tf.Qwen2Config(**ROTARY, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    with pytest.raises(
        UserError, match="Qwen2ForCausalLM layer_types: sliding_attention. Take a model with full causal attention"
    ):
        architectures.require_supported("Qwen2ForCausalLM", config)


def test_an_unembedding_with_a_bias_is_refused():
    hf = make("llama")
    hf.lm_head = torch.nn.Linear(32, 320, bias=True, dtype=torch.float64)
    with pytest.raises(UserError, match="lm_head: has a bias"):
        LM(hf)
