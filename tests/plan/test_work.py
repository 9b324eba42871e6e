"""FLOPs as planned against what torch counts while the engine does the same."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from tests.helpers.tiny import tiny_config
from wor.engine import ablate, attention, unembed
from wor.engine.capture import Span, beliefs, capture
from wor.engine.load import choose_device
from wor.engine.model import LM
from wor.plan import shape, speed
from wor.plan.work import PlannedItem, Work, count_work
from wor.weights import families

TOKENS, WINDOW = 48, 16


def llama() -> LM:
    return LM(LlamaForCausalLM(tiny_config(vocab_size=2048, bos_token_id=0, eos_token_id=1)))


def gpt2() -> LM:
    return LM(GPT2LMHeadModel(GPT2Config(n_layer=3, n_head=4, n_embd=32, vocab_size=2048, bos_token_id=0, eos_token_id=1)))


def counted(work) -> int:
    # Of the kernels for sdpa torch counts only the plain one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("made", [llama, gpt2])
def test_each_kind_of_pass_has_the_flops_that_torch_counts(made):
    lm = made()
    own = shape.shape_from_config(lm.hf.config)
    ids, window = list(range(TOKENS)), Span(TOKENS - WINDOW, TOKENS)
    clean = capture(lm, ids, window)
    stand_in, layers = torch.zeros(lm.n_layers, lm.width), lm.n_layers
    copies = layers * (layers - 1) / 2
    others = [ids[::-1]] * 3
    assert counted(lambda: beliefs(lm, clean, others, [window] * 3)) == pytest.approx(3 * own.forward(TOKENS), rel=0.05)
    scored = own.forward(TOKENS) + own.unembedding(TOKENS)
    assert counted(lambda: capture(lm, ids, window, scored_from=1)) == pytest.approx(scored, rel=0.05)
    # The window passes the first layer clean, then as its copies.
    ablated = own.window(WINDOW, TOKENS, copies + 1) + own.unembedding(WINDOW * (layers + 1))
    assert counted(lambda: ablate.layer_kl(lm, clean, "mlp", stand_in)) == pytest.approx(ablated, rel=0.05)
    lens = own.unembedding(WINDOW * (layers + 1))
    assert counted(lambda: unembed.logit_lens_jsd(lm, clean.hidden[1:], clean.hidden[-1])) == pytest.approx(lens, rel=0.05)
    heads = own.window(WINDOW, TOKENS, lm.n_heads * copies + 1) + own.unembedding(WINDOW * (lm.n_heads * layers + 1))
    taken_out = torch.zeros(layers, lm.n_heads, lm.head_dim)
    # A head's copy enters through its layer's MLP too, which is left out of the count: little, of many layers.
    assert heads < counted(lambda: ablate.head_kl(lm, clean, taken_out)) < 1.15 * heads


@pytest.mark.parametrize(
    ("repository", "n_params"),
    [
        ("HuggingFaceTB/SmolLM-135M", 134_515_008),
        ("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120),
        ("HuggingFaceTB/SmolLM-1.7B", 1_711_376_384),
    ],
)
def test_a_known_family_has_its_published_size(repository, n_params):
    found = shape.shape_from_config(families.known_config(repository))
    assert found.n_params == n_params
    assert found.layers * found.layer + found.head == pytest.approx(n_params, rel=0.001)


def test_what_is_not_known_is_not_guessed():
    assert families.known_config("someone/other") is None


def test_a_stage_counts_each_item_and_its_paraphrases_once(settings):
    own = shape.shape_from_config(tiny_config(architectures=["LlamaForCausalLM"]))
    few = settings.model_copy(update={"datasets": ["syllogism", "wiki"], "max_new_tokens": 10})
    items = [PlannedItem("reasoning", "evaluation", "syllogism", 50, (60, 70))] * 70
    items += [PlannedItem("control", "calibration", "wiki", 50, (60,))] * 5 + [
        PlannedItem("control", "evaluation", "wiki", 90, ())
    ] * 6
    works = {work.name: work for work in count_work(few, own, items, literal=items[-2:])}
    assert list(works) == ["reference", "activations syllogism", "activations wiki", "temperatures", "nulls", "heads"]
    of_syllogism: Work = works["activations syllogism"]
    assert of_syllogism.batches == [(64, 50), (6, 50)]
    assert of_syllogism.tokens == 70 * ((50 + 10) + (50 + 10) + (60 + 70))  # spoken, observed, paraphrases
    an_item = own.forward(60) + own.unembedding(60) + own.forward(70) + own.forward(80)
    assert of_syllogism.flops["forward"] == pytest.approx(70 * an_item)
    assert works["reference"].flops["lens"] == 0
    assert works["activations wiki"].items == 6
    assert works["temperatures"].items == 2 * 3 * len(few.robustness.temperatures)


def test_speeds_are_measured_of_the_engine_with_its_own_attention():
    own, placement = shape.shape_from_config(tiny_config(architectures=["LlamaForCausalLM"])), choose_device("cpu", "float32", 1)
    assert speed._model(own, placement).hf.config._attn_implementation == attention.NAME
    found = speed.measure_speed(own, placement, 1.0, 40, 8, 0.1)
    assert set(found.rates) == {"forward", "ablate", "lens"}
    assert all(rate > 0 for rate in found.rates.values())
    assert 0 < found.decode(1) <= found.decode(48)
    work = Work("activations", flops={"forward": 2 * found.rates["forward"], "ablate": 0.0, "lens": 0.0})
    assert found.seconds(work, own) == pytest.approx(found.start + 2)
