"""Each array of an item belongs to the predictions that the window's tokens were drawn from."""

import math

import numpy as np
import pytest
import torch

from wor.engine import ablate, states
from wor.engine.capture import Span, capture, registered_hooks
from wor.engine.observe import PASSES, Alternatives, PromptAndContinuation, observe
from wor.measures.item_arrays import PASS

SEQUENCES = [
    PromptAndContinuation([5, 9, 2, 7, 11, 3], [4, 8, 15, 16, 23, 42, 6, 1], start=2, end=6),
    PromptAndContinuation([5, 9, 2, 7, 11, 3], [4, 8, 15, 16, 23], start=0, end=5),
]


@pytest.fixture(params=SEQUENCES, ids=["inside", "from the first generated token"])
def case(request, lm64):
    """Return a sequence, its arrays and scores, and what was put into it."""
    generator = torch.Generator().manual_seed(0)
    replacement = torch.randn(lm64.n_layers, lm64.width, generator=generator, dtype=torch.float64)
    belief = torch.randn(lm64.n_layers + 1, lm64.width, generator=generator)
    paraphrase = [5, 9, 7, 7, 2, 11, 3]
    arrays, scores = observe(lm64, request.param, [paraphrase], "mlp", replacement, belief, lens=True)
    return request.param, arrays, scores, (replacement, belief, paraphrase)


@torch.inference_mode()
def plain(lm, ids):
    """Return log-probabilities [T, V], residual streams [L + 1, T, D], before the final norm."""
    streams = []
    hooks = [(layer.block.register_forward_pre_hook, lambda m, args: streams.append(args[0][0])) for layer in lm.layers]
    hooks.append((lm.norm.register_forward_pre_hook, lambda m, args: streams.append(args[0][0])))
    with registered_hooks(*hooks):
        logits = lm.hf(torch.tensor([ids])).logits[0]
    return logits.double().log_softmax(-1), torch.stack(streams)


def predictions_of(sequence):
    """Return the position before each token of the window, counted by hand."""
    tokens = range(len(sequence.prompt) + sequence.start, len(sequence.prompt) + sequence.end)
    return [token - 1 for token in tokens]


def test_the_window_is_predicted_one_position_earlier(case):
    sequence = case[0]
    positions = predictions_of(sequence)
    assert sequence.predictions == Span(positions[0], positions[-1] + 1)
    assert [sequence.ids[position + 1] for position in positions] == sequence.continuation[sequence.start : sequence.end]
    assert sequence.ids_before_last == sequence.ids[: positions[-1] + 1]


def test_the_window_tokens_scores_are_those_of_its_predictions(case, lm64):
    sequence, _, scores, _ = case
    log_probs, _ = plain(lm64, sequence.ids)
    window = slice(sequence.start, sequence.end)
    for entry, position in enumerate(predictions_of(sequence)):
        token = sequence.ids[position + 1]
        assert scores.log_probs[window][entry] == pytest.approx(float(log_probs[position, token]), abs=1e-6)
        entropy = float(torch.special.entr(log_probs[position].exp()).sum())
        assert scores.entropies[window][entry] == pytest.approx(entropy, abs=1e-6)


def test_kl_and_lens_are_of_the_same_predictions(case, lm64):
    sequence, arrays, _, (replacement, _, _) = case
    positions = predictions_of(sequence)
    log_p, streams = plain(lm64, sequence.ids)
    p = log_p[positions].exp()
    for layer in range(lm64.n_layers):

        def replace(module, args, output, layer=layer):
            output = output.clone()
            output[:, positions] = replacement[layer]
            return output

        with registered_hooks((lm64.layers[layer].mlp.register_forward_hook, replace)):
            log_q, _ = plain(lm64, sequence.ids)
        kl = (p * (log_p[positions] - log_q[positions])).sum(-1).numpy()
        assert arrays["kl"][layer] == pytest.approx(kl, abs=1e-6)
        with torch.inference_mode():
            lens = lm64.logits(streams[layer + 1, positions]).double().softmax(-1)
        mixed = (lens + p) / 2
        jsd = sum(sign * torch.special.entr(x).sum(-1) for sign, x in ((1, mixed), (-0.5, lens), (-0.5, p))) / math.log(2)
        assert arrays["jsd"][layer] == pytest.approx(jsd.numpy(), abs=1e-5)


def test_attention_is_of_the_queries_that_make_these_predictions(case, lm64, tiny_folder):
    from transformers import AutoModelForCausalLM

    sequence, arrays, _, _ = case
    eager = AutoModelForCausalLM.from_pretrained(tiny_folder, attn_implementation="eager", dtype=torch.float64)
    with torch.inference_mode():
        rows = torch.stack(eager(torch.tensor([sequence.ids]), output_attentions=True).attentions)[:, 0]
    entropy = torch.special.entr(rows[:, :, predictions_of(sequence)]).sum(-1).mean(1).numpy()
    assert arrays["entropy"] == pytest.approx(entropy, abs=1e-6)


def test_beliefs_are_the_hidden_states_behind_these_predictions(case, lm64):
    sequence, arrays, _, (_, belief, paraphrase) = case
    shifted = PromptAndContinuation(paraphrase, sequence.continuation, sequence.start, sequence.end)
    means = [plain(lm64, one.ids)[1][:, predictions_of(one)].mean(1) - belief for one in (sequence, shifted)]
    assert arrays["cosine"][0] == pytest.approx(torch.cosine_similarity(*means, dim=-1).numpy(), abs=1e-6)


@pytest.mark.parametrize("paraphrase", [[5, 9, 7, 7, 2, 11, 3], [7, 7, 2], [5, 9, 2, 7, 11, 3]])
def test_a_paraphrase_s_fluency_is_that_of_a_plain_pass(paraphrase, lm64):
    """Try one that shares the beginning, one that shares nothing, and the prompt itself."""
    sequence = SEQUENCES[0]
    longer = [5, 9, 2, 8, 1, 1, 1, 1]  # another one in the batch
    scores = observe(lm64, sequence, [longer, paraphrase], "mlp", None, torch.zeros(lm64.n_layers + 1, lm64.width), lens=False)[1]
    for ids, fluency in zip([longer, paraphrase], scores.paraphrases, strict=True):
        log_probs, _ = plain(lm64, ids)
        assert fluency == pytest.approx(float(log_probs[:-1].gather(1, torch.tensor(ids[1:])[:, None]).mean()), abs=1e-6)
    if paraphrase == sequence.prompt:
        assert scores.paraphrases[1] == pytest.approx(scores.prompt, abs=1e-9)


def test_without_a_replacement_all_but_the_ablations_is_the_same(case, lm64):
    sequence, arrays, scores, (_, belief, paraphrase) = case
    others, again = observe(lm64, sequence, [paraphrase], "mlp", None, belief, lens=True)
    assert arrays.keys() - others.keys() == {"kl"}
    for name, array in others.items():
        assert np.array_equal(array, arrays[name], equal_nan=True)
    assert again.continuation == scores.continuation


def test_each_pass_is_timed_and_its_arrays_are_known(case, lm64):
    """Leave each pass out, and look which arrays are gone."""
    sequence, arrays, _, (replacement, belief, paraphrase) = case
    by_pass = {name: {array for array in arrays if PASS.get(array, "forward") == name} for name in PASSES}
    assert by_pass["states"] == states.describe_states(lm64, capture(lm64, sequence.ids, sequence.predictions), belief).keys() - {
        "attention_squares"
    }
    for left_out, paraphrases, stand_in, lens in (
        ("paraphrases", [], replacement, True),
        ("ablation", [paraphrase], None, True),
        ("lens", [paraphrase], replacement, False),
    ):
        lm64.seconds.clear()
        others, _ = observe(lm64, sequence, paraphrases, "mlp", stand_in, belief, lens)
        assert {name for name, array in others.items() if array.size} == arrays.keys() - by_pass[left_out]
        assert lm64.seconds.keys() == set(PASSES) - {left_out}
        assert min(lm64.seconds.values()) > 0


def test_alternatives_are_what_another_choice_would_have_given(case, lm64):
    """Check against an observation with that choice as the study's own."""
    sequence, arrays, _, (replacement, belief, paraphrase) = case
    clean = capture(lm64, sequence.ids, sequence.predictions)
    own, zero, centre = ablate.window_mean(clean, "mlp"), torch.zeros_like(replacement), 2 * belief
    stand_ins = {"own": [], "zero": [zero], "several": [zero, replacement]}
    alternatives = Alternatives(stand_ins, range(0, lm64.n_layers, 2), {"other": centre})
    result, _ = observe(lm64, sequence, [paraphrase], "mlp", replacement, belief, lens=True, alternatives=alternatives)
    for name in arrays:
        assert result[name] == pytest.approx(arrays[name], nan_ok=True)
    by_own, by_zero = (observe(lm64, sequence, [paraphrase], "mlp", part, centre, lens=False)[0] for part in (own, zero))
    assert result["kl_own"] == pytest.approx(by_own["kl"][::2], abs=1e-6)
    assert result["kl_zero"] == pytest.approx(by_zero["kl"][::2], abs=1e-6)
    assert result["kl_several"] == pytest.approx((by_zero["kl"] + arrays["kl"])[::2] / 2, abs=1e-6)
    assert result["cosine_other"] == pytest.approx(by_zero["cosine"], abs=1e-6)
