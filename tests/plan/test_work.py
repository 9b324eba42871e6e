"""Check planned FLOPs against those that torch counts while the engine does the same."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from tests.helpers.planned import planned_item
from tests.helpers.tiny import tiny_config
from tests.helpers.tiny_models import MODELS, make
from wor.engine import ablate, attention, unembed
from wor.engine.capture import Span, capture, mean_beliefs
from wor.engine.load import choose_device
from wor.engine.model import LM
from wor.plan import shape, speed
from wor.plan.work import Work, count_work
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


@pytest.mark.parametrize("model", [llama, gpt2])
def test_each_kind_of_pass_has_the_flops_that_torch_counts(model):
    lm = model()
    sizes = shape.shape_from_config(lm.hf.config)
    ids, window = list(range(TOKENS)), Span(TOKENS - WINDOW, TOKENS)
    clean = capture(lm, ids, window)
    stand_in, layers = torch.zeros(lm.n_layers, lm.width), lm.n_layers
    copies = layers * (layers - 1) / 2
    others = [ids[::-1]] * 3
    assert counted(lambda: mean_beliefs(lm, clean, others, [window] * 3)) == pytest.approx(3 * sizes.forward(TOKENS), rel=0.05)
    fluency = 3 * (sizes.forward(TOKENS) + sizes.unembedding(TOKENS - WINDOW))
    scored_run = capture(lm, ids, window, scored_from=1)
    lengths = [TOKENS - WINDOW] * 3
    counts = counted(lambda: mean_beliefs(lm, scored_run, others, [window] * 3, lengths))
    assert counts == pytest.approx(fluency, rel=0.05)
    scored = sizes.forward(TOKENS) + sizes.unembedding(TOKENS)
    assert counted(lambda: capture(lm, ids, window, scored_from=1)) == pytest.approx(scored, rel=0.05)
    # The window passes the first layer clean, then as its copies.
    ablated = sizes.window(WINDOW, TOKENS, copies + 1) + sizes.unembedding(WINDOW * (layers + 1))
    assert counted(lambda: ablate.layer_kl(lm, clean, "mlp", stand_in)) == pytest.approx(ablated, rel=0.05)
    lens = sizes.unembedding(WINDOW * (layers + 1))
    assert counted(lambda: unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1])) == pytest.approx(lens, rel=0.05)
    heads = sizes.window(WINDOW, TOKENS, lm.n_heads * copies + 1) + sizes.unembedding(WINDOW * (lm.n_heads * layers + 1))
    taken_out = torch.zeros(layers, lm.n_heads, lm.head_dim)
    # Each head's copy also passes its layer's MLP. The count leaves that out, as it is little.
    assert heads < counted(lambda: ablate.head_kl(lm, clean, taken_out)) < 1.15 * heads


@pytest.mark.parametrize("name", MODELS)
def test_each_architecture_has_the_size_and_flops_that_torch_counts(name):
    lm = LM(make(name))
    sizes, ids = shape.shape_from_config(lm.hf.config), torch.arange(TOKENS)[None]
    assert sizes.n_params == sum(part.numel() for part in lm.hf.parameters())
    assert counted(lambda: lm.base(ids, use_cache=False)) == pytest.approx(sizes.forward(TOKENS), rel=0.05)


@pytest.mark.parametrize(
    ("repository", "n_params"),
    [
        ("HuggingFaceTB/SmolLM-135M", 134_515_008),
        ("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120),
        ("HuggingFaceTB/SmolLM-1.7B", 1_711_376_384),
        ("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
    ],
)
def test_a_known_family_has_its_published_size(repository, n_params):
    result = shape.shape_from_config(families.known_config(repository))
    assert result.n_params == n_params
    assert result.layers * result.layer + result.head == pytest.approx(n_params, rel=0.001)


def test_what_is_not_known_is_not_guessed():
    assert families.known_config("someone/other") is None


def test_a_stage_counts_each_item_and_its_paraphrases_once(settings):
    sizes = shape.shape_from_config(tiny_config(architectures=["LlamaForCausalLM"]))
    params = settings.model_copy(update={"models": ["tiny"], "datasets": ["syllogism", "wiki"], "max_new_tokens": 10})
    items = [planned_item("reasoning", "evaluation", "syllogism", 50, (60, 70)) for _ in range(70)]
    items += [planned_item("control", "calibration", "wiki", 50, (60,)) for _ in range(5)]
    items += [planned_item("control", "evaluation", "wiki", 90) for _ in range(6)]
    works = {work.name: work for work in count_work(params, "tiny", sizes, items, full_length=items[-2:])}
    names = ["reference", "activations-syllogism", "activations-wiki", "temperatures", "nulls", "designs", "heads"]
    assert list(works) == [f"{stage}@tiny{dash}{dataset}" for stage, dash, dataset in (name.partition("-") for name in names)]
    syllogism = works["activations@tiny-syllogism"]
    assert syllogism.batches == [(64, 50), (6, 50)]
    assert syllogism.tokens == 70 * ((50 + 10) + (50 + 10) + (60 + 70))  # generated, observed, paraphrases
    per_item = sizes.forward(60) + sizes.unembedding(60)
    per_item += sum(sizes.forward(tokens + 10) + sizes.unembedding(tokens) for tokens in (60, 70))
    assert syllogism.flops["forward"] == pytest.approx(70 * per_item)
    assert works["reference@tiny"].flops["lens"] == 0
    assert len(works["activations@tiny-wiki"].items) == 6
    robustness = params.robustness
    of_each_class = robustness.n + min(robustness.n, 6)
    assert len(works["temperatures@tiny"].items) == of_each_class * len(robustness.temperatures)


def test_speeds_are_measured_of_the_engine_with_its_own_attention():
    sizes, placement = (
        shape.shape_from_config(tiny_config(architectures=["LlamaForCausalLM"])),
        choose_device("cpu", "float32", 1),
    )
    lm = speed.random_model(speed.part_to_time(sizes, placement), placement)
    assert lm.hf.config._attn_implementation == attention.NAME
    result = speed.measure_speed(lm, placement, 1.0, 40, 8, 0.1)
    assert set(result.rates) == {"forward", "ablate", "lens"}
    assert all(rate > 0 for rate in result.rates.values())
    assert 0 < result.decode(1, sizes) <= result.decode(48, sizes)
    work = Work("activations", flops={"forward": 2 * result.rates["forward"], "ablate": 0.0, "lens": 0.0})
    assert result.seconds(work, sizes) == pytest.approx(result.start(sizes) + 2)
    generating = replace(work, batches=[(3, 40), (2, 30)], steps=5, null_models=2)
    parts = result.parts(generating, sizes)
    assert parts["decoding"] == pytest.approx(5 * (result.decode(3, sizes) + result.decode(2, sizes)))
    assert parts["prompts"] == pytest.approx((3 * sizes.forward(40) + 2 * sizes.forward(30)) / result.rates["forward"])
    assert parts["null models"] == pytest.approx(2 * result.null_model(sizes))
    assert result.seconds(generating, sizes) == pytest.approx(sum(parts.values()))
    wider = replace(sizes, layer=3 * sizes.layer, head=3 * sizes.head)  # another model takes as long as its FLOPs say
    assert result.decode(48, wider) == pytest.approx(3 * result.decode(48, sizes))
    assert result.seconds(work, wider) == pytest.approx(result.start(wider) + 2)
