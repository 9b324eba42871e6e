"""Check exactness, self-test and refusals on a tiny random model of each supported architecture."""

from functools import partial

import numpy as np
import pytest
import torch
import transformers as tf

from tests.helpers.tiny_models import IDS, MODELS, ROTARY, WINDOW, make
from wor.engine import ablate, architectures, selftest
from wor.engine.capture import Span, capture, mean_beliefs, registered_hooks
from wor.engine.generate import generate
from wor.engine.model import LM
from wor.engine.observe import Alternatives, Observed, PromptAndContinuation, observe, observe_together
from wor.errors import UserError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


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
        outputs = eager.eval()(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)
    rows = torch.stack(outputs.attentions)[:, 0, :, WINDOW.start : WINDOW.end].double()
    assert (clean.entropy - torch.special.entr(rows).sum(-1)).abs().max() < 1e-5
    assert torch.equal(clean.visible, (rows[:, 0] > 0).sum(-1))
    for index in range(lm.n_layers):
        assert (clean.hidden[index] - outputs.hidden_states[index][0, WINDOW.start : WINDOW.end]).abs().max() < 1e-5
    expected = outputs.logits[0, :-1].log_softmax(-1).gather(-1, torch.tensor(IDS)[1:, None])[:, 0]
    assert (clean.scores.log_prob - expected).abs().max() < 1e-5


@pytest.mark.parametrize("component", ["mlp", "attention"])
def test_layer_ablation_equals_full_passes(lm, component):
    replacement = torch.randn(lm.n_layers, lm.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    actual = ablate.layer_kl(lm, capture(lm, IDS, WINDOW), component, replacement)
    clean, expected = logits(lm), []
    for index in range(lm.n_layers):
        with ablate.replaced_output(lm, index, component, WINDOW, replacement[index]):
            expected.append(kl(clean, logits(lm)))
    expected = torch.stack(expected)
    assert expected.max() > 0.01
    assert ((actual - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_head_ablation_equals_full_passes(lm):
    heads = torch.randn(lm.n_layers, lm.n_heads, lm.head_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    actual = ablate.head_kl(lm, capture(lm, IDS, WINDOW), heads)
    clean = logits(lm)
    for index in range(lm.n_layers):
        for head in range(lm.n_heads):

            def replace(module, args, index=index, head=head):
                out = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                out[:, WINDOW.start : WINDOW.end, head] = heads[index, head]
                return (out.flatten(-2),)

            with registered_hooks((lm.layers[index].projection.register_forward_pre_hook, replace)):
                expected = kl(clean, logits(lm))
            assert ((actual[index, head] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_a_whole_layer_skipped_equals_a_full_pass(lm):
    zero = torch.zeros(lm.n_layers, lm.width)
    actual, clean = ablate.layer_kl(lm, capture(lm, IDS, WINDOW), "layer", zero), logits(lm)
    for index, layer in enumerate(lm.layers):

        def skip(module, args, output):
            out = (output if torch.is_tensor(output) else output[0]).clone()
            out[:, WINDOW.start : WINDOW.end] = args[0][:, WINDOW.start : WINDOW.end]
            return out if torch.is_tensor(output) else (out, *output[1:])

        with registered_hooks((layer.block.register_forward_hook, skip)):
            expected = kl(clean, logits(lm))
        assert expected.max() > 0.01
        assert ((actual[index] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


def test_beliefs_on_a_shared_prefix_equal_full_passes(lm):
    clean = capture(lm, IDS, WINDOW, scored_from=1)
    sequences, windows = [[*IDS[:15], *IDS[3:18]], [*IDS[:12], *IDS[5:20]]], [WINDOW, Span(15, 24)]
    beliefs, log_probs = mean_beliefs(lm, clean, sequences, windows, prompts=[17, 14])
    for belief, log_prob, ids, window, length in zip(beliefs, log_probs, sequences, windows, (17, 14), strict=True):
        whole = capture(lm, ids, window, scored_from=1)
        assert (belief - whole.hidden.mean(1)).abs().max() < 1e-5
        assert log_prob == pytest.approx(whole.scores.log_prob[: length - 1].mean().item(), abs=1e-6)


def test_accuracy_with_heads_removed_equals_full_passes(lm):
    heads = torch.randn(lm.n_layers, lm.n_heads, lm.head_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, plan = 12, [(0, 1), (1, 0), (1, 2), (2, 3)]
    clean = lm.hf(torch.tensor([IDS])).logits[0, first - 1 : -1].argmax(-1).tolist()
    ids = [*IDS[:first], *clean]  # some tokens that the model ranks first

    def replace(module, args, layer):
        out = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
        for plan_layer, head in plan:
            if plan_layer == layer:
                out[:, first - 1 :, head] = heads[plan_layer, head]
        return (out.flatten(-2),)

    with registered_hooks(
        *((layer.projection.register_forward_pre_hook, partial(replace, layer=i)) for i, layer in enumerate(lm.layers))
    ):
        predicted = lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1)
    targets = torch.tensor(ids[first:])
    accuracies = ablate.removal_accuracy(lm, ids, first, [[], plan], heads)
    assert accuracies[1] == pytest.approx((predicted == targets).float().mean().item())
    untouched = (lm.hf(torch.tensor([ids])).logits[0, first - 1 : -1].argmax(-1) == targets).float().mean().item()
    assert accuracies[0] == pytest.approx(untouched)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (1, 6), (12, 13), (29, 30)])
def test_windows_at_the_edges(lm, start, end):
    window, replacement = Span(start, end), torch.ones(lm.n_layers, lm.width)
    actual = ablate.layer_kl(lm, capture(lm, IDS, window), "mlp", replacement)
    clean = lm.hf(torch.tensor([IDS])).logits[0, start:end]
    with ablate.replaced_output(lm, 1, "mlp", window, replacement[1]):
        expected = kl(clean, lm.hf(torch.tensor([IDS])).logits[0, start:end])
    assert ((actual[1] - expected).abs() / expected.clamp_min(1e-3)).max() < 1e-9


@pytest.mark.parametrize("name", MODELS)
def test_temperature_zero_is_greedy_decoding_of_transformers(name):
    hf, lm = make(name, torch.float32).eval(), LM(make(name, torch.float32))
    hf.set_attn_implementation("eager")
    (continuation,) = generate(lm, [IDS[:7]], ["a"], temperatures=[0.0], max_new_tokens=12, seed=0)
    ids = torch.tensor([IDS[:7]])
    expected = hf.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=1)
    assert continuation == expected[0, 7:].tolist()


def test_a_models_own_repetition_penalty_is_left_out():
    """With it, tokens would not be draws from softmax(logits / T) and would depend on padding."""
    plain, penalised = make("qwen2", torch.float32), make("qwen2", torch.float32)
    penalised.generation_config.repetition_penalty = 5.0
    options = {"temperatures": [0.8] * 2, "max_new_tokens": 20, "seed": 0}
    prompts, names = [IDS[:5], IDS[3:15]], ["a", "b"]
    assert generate(LM(penalised), prompts, names, **options) == generate(LM(plain), prompts, names, **options)


def test_tokens_do_not_depend_on_the_batch(request, lm):
    lm = LM(make(request.node.callspec.params["lm"], torch.float32))
    prompts, names = [IDS[:5], IDS[3:15], IDS[7:16]], ["a", "b", "c"]
    options = {"max_new_tokens": 10, "seed": 0}
    continuations = generate(lm, prompts, names, temperatures=[0.8] * 3, **options)
    for prompt, name, expected in zip(prompts, names, continuations, strict=True):
        assert generate(lm, [prompt], [name], temperatures=[0.8], **options) == [expected]


def test_a_layer_that_adds_up_otherwise_fails_the_self_test(monkeypatch):
    """Scale what each component adds, as Granite does. The module names alone would not show it."""
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layer_types": ["chunked_attention"] * 3},
            "layer_types: chunked_attention. Choose a model with causal attention, full or",
        ),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention: True. Choose a model with causal attention"),
        ({"is_causal": False}, "is_causal: False. Choose a model with causal attention: a changed token would change"),
    ],
)
def test_attention_that_is_not_causal_is_refused(changes, message):
    with pytest.raises(UserError, match=f"Gemma3ForCausalLM {message}"):
        architectures.require_supported("Gemma3ForCausalLM", tf.Gemma3TextConfig(**ROTARY, **changes))


def test_a_mask_that_is_not_the_layers_own_window_is_refused():
    """SmolLM3 masks by layer_types alone, and tells the attention of no window."""
    config = tf.SmolLM3Config(**ROTARY, sliding_window=6, use_sliding_window=False, layer_types=["sliding_attention"] * 3)
    with pytest.raises(UserError, match=r"attention: the model masks keys otherwise than by its sliding window \(None\)"):
        capture(LM(tf.SmolLM3ForCausalLM(config)), IDS, WINDOW)


def test_a_sequence_that_switches_to_other_rotations_is_beyond_the_context():
    """Phi-3's long factors would hold for a prompt's keys only if its continuation is long, too."""
    hf = make("phi3, partly rotated, longrope")
    assert (hf.config.max_position_embeddings, LM(hf).context) == (256, 64)


def test_an_unembedding_with_a_bias_is_refused():
    hf = make("llama")
    hf.lm_head = torch.nn.Linear(32, 320, bias=True, dtype=torch.float64)
    with pytest.raises(UserError, match="lm_head: has a bias"):
        LM(hf)


def test_what_is_observed_of_an_item_is_finite_and_in_its_bounds(lm):
    sequence = PromptAndContinuation(IDS[:15], IDS[15:], 4, 12)
    paraphrases = [[*IDS[:10], *IDS[20:26]], [*IDS[:9], *IDS[21:28]]]
    replacement = torch.zeros(lm.n_layers, lm.width)
    arrays, scores = observe(lm, sequence, paraphrases, "layer", replacement, torch.zeros(lm.n_layers + 1, lm.width), lens=True)
    assert 0 <= arrays["entropy_heads"].min() <= arrays["entropy_heads"].max() <= 1 + 1e-6
    assert arrays["kl"].min() >= 0
    after_first = {name: array[..., 1:] for name, array in arrays.items()}  # a window's first token has no step
    assert all(np.isfinite(array).all() for array in after_first.values())
    assert np.isfinite(scores.continuation)


@pytest.mark.parametrize("device", DEVICES)
def test_items_that_share_every_pass_give_what_they_give_alone(lm, device, request):
    """Only the windows are of one width; all else differs. Alone they are on the CPU."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    belief, mean = draw(lm.n_layers + 1, lm.width), draw(lm.n_layers, lm.width)
    items = []
    for index, (prompt, start) in enumerate([(15, 4), (11, 1), (18, 0), (15, 4)]):
        sequence = PromptAndContinuation(IDS[:prompt], IDS[prompt : prompt + 9 + start + index % 2], start, start + 8)
        paraphrases = [[*IDS[:9], *IDS[20 : 22 + index]], [*IDS[:8], *IDS[21:28]]][:index]
        by_position = draw(lm.n_layers, 8, lm.width)
        alternatives = Alternatives({"own": [], "resample": [by_position, mean]}, range(0, lm.n_layers, 2), {"none": 0 * belief})
        items.append(Observed(sequence, paraphrases, by_position if index == 2 else mean, alternatives))
    assert len({item.kind() for item in items}) == 1
    there = lm if device == "cpu" else LM(make(request.node.callspec.params["lm"]).to(device))
    together = observe_together(there, items, "layer", belief, lens=True)
    for item, (arrays, scores) in zip(items, together, strict=True):
        parts = item.sequence, item.paraphrases, "layer", item.replacement, belief, True, item.alternatives
        alone, alone_scores = observe(lm, *parts)
        assert arrays.keys() == alone.keys()
        for name, array in alone.items():
            assert arrays[name] == pytest.approx(array, abs=1e-5, nan_ok=True), name
        for score, expected in zip(scores, alone_scores, strict=True):
            assert score == pytest.approx(expected, abs=1e-6)
