"""Check each published measure against its definition, written plainly for a transformers model."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from tests.helpers.root import ROOT
from tests.helpers.tiny import tiny_config
from wor.engine import states, unembed
from wor.engine.capture import capture
from wor.engine.model import LM
from wor.engine.observe import PromptAndContinuation, observe
from wor.measures import output_entropy, tell_tale_norm
from wor.measures.item_arrays import ItemArrays
from wor.measures.registry import COMPONENTS, PUBLISHED, compute_measures

LAYERS, WIDTH = 9, 32
PROMPT = [5, 9, 2, 7, 11, 3]
SEQUENCES = {
    "inside": PromptAndContinuation(PROMPT, [4, 8, 15, 16, 23, 42, 6, 1, 99], start=1, end=8),
    "first generated token": PromptAndContinuation(PROMPT, [4, 8, 15, 16, 23, 7], start=0, end=6),
}
NAMES = [measure.name for measure in PUBLISHED]


@pytest.fixture(scope="module")
def model():
    """Return a random model in float64 whose norms have weights, so that norming twice shows."""
    torch.manual_seed(11)
    hf = LlamaForCausalLM(tiny_config(num_hidden_layers=LAYERS)).double().eval()
    for name, weight in hf.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.3, 2.0)
    return hf


@pytest.fixture(scope="module")
def lm(model):
    return LM(clone(model, "sdpa"))


@pytest.fixture(scope="module")
def mean():
    return torch.randn(LAYERS + 1, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def clone(model, attention):
    copy = AutoModelForCausalLM.from_config(deepcopy(model.config), attn_implementation=attention).double().eval()
    copy.load_state_dict(model.state_dict())
    return copy


@torch.inference_mode()
def plain(model, sequence):
    """Return streams [L + 1, W, D], parts' outputs, lens predictions, attention: what a window has.

    All are transformers' own. The last of its hidden states is normed, so the stream comes from
    before the norm.
    """
    places = [len(sequence.prompt) + token - 1 for token in range(sequence.start, sequence.end)]
    hf, last, parts = clone(model, "sdpa"), [], []
    hf.model.norm.register_forward_pre_hook(lambda module, args: last.append(args[0]))
    for layer in hf.model.layers:
        layer.self_attn.register_forward_hook(lambda module, args, out: parts.append(out[0][0, places].numpy()))
        layer.mlp.register_forward_hook(lambda module, args, out: parts.append(out[0, places].numpy()))
    ids = torch.tensor([sequence.ids])
    out = hf(ids, output_hidden_states=True)
    streams = [*out.hidden_states[:-1], last[0]]
    normed = [*map(hf.model.norm, streams[:-1]), out.hidden_states[-1]]
    lens = [hf.lm_head(state)[0, places].softmax(-1).numpy() for state in normed]
    assert np.allclose(lens[-1], out.logits[0, places].softmax(-1))
    attentions = clone(model, "eager")(ids, output_attentions=True).attentions
    return {
        "h": np.stack([stream[0, places].numpy() for stream in streams]),
        "attention_out": np.stack(parts[::2]),
        "mlp_out": np.stack(parts[1::2]),
        "p": np.stack(lens[1:]),
        "final": out.hidden_states[-1][0, places].numpy(),
        "rows": np.stack([layer[0, :, places].double().numpy() for layer in attentions]),
        "places": places,
        "prompt": np.stack([stream[0, len(sequence.prompt) - 1].numpy() for stream in streams]),
    }


def norm(vector):
    return math.sqrt(sum(float(x) ** 2 for x in vector))


def cosine(u, v):
    return float(u @ v) / (norm(u) * norm(v))


def definitions(seen, chosen, mean, quantiles, settings):
    """Return every published measure over the ``chosen`` places of a window, by its definition."""
    h, p, layers = seen["h"], seen["p"], range(1, LAYERS + 1)
    trim = [d for d in range(WIDTH) if d not in np.argsort(-np.abs(mean.numpy()).max(0))[:10]]
    result = {}
    # DTR
    jsd = [[jensenshannon(p[-1, t], p[layer - 1, t], base=2) ** 2 for t in chosen] for layer in layers[:-1]]
    jsd = np.array([*jsd, [0.0] * len(chosen)])
    late = math.ceil(settings.dtr_rho * LAYERS)
    for name, g in {"dtr": settings.dtr_g, "dtr_036": 0.36, "dtr_072": 0.72, "dtr_087": 0.87}.items():
        first = [next(layer for layer in layers if column[layer - 1] <= g) for column in jsd.T]
        result[name] = np.mean([depth >= late for depth in first])
        if name == "dtr":
            result["settling_depth"] = np.mean([depth / LAYERS for depth in first])
    last = [max([layer for layer in layers if column[layer - 1] > settings.dtr_g], default=0) + 1 for column in jsd.T]
    result["dtr_strict"] = np.mean([depth >= late for depth in last])
    result["lens_jsd"] = jsd.mean()
    # HyperLens, flips and the lens's entropy
    top = p[-1].argmax(-1)
    result["hyperlens"] = np.mean([p[-1, t, top[t]] - p[layer - 1, t, top[t]] for layer in layers for t in chosen])
    flips = [max([layer for layer in layers if p[layer - 1, t].argmax() != top[t]], default=0) + 1 for t in chosen]
    result["flip_depth"] = np.mean(flips) / LAYERS
    result["lens_entropy"] = np.mean([-(p[layer - 1, t] * np.log(p[layer - 1, t])).sum() for layer in layers for t in chosen])
    # The Tell-Tale Norm: 0-based layers from 3L/4 to L - 2
    numbers = [layer + 1 for layer in range(LAYERS) if 3 * LAYERS // 4 <= layer <= LAYERS - 2]
    for row, (suffix, kept) in enumerate({"": list(range(WIDTH)), "_trimmed": trim}.items()):
        n = np.array([[norm(h[layer, t, kept]) for t in chosen] for layer in numbers])
        tau = quantiles["norm"][row][:, None]
        result[f"norm_mean{suffix}"], result[f"norm_share{suffix}"] = n.mean(), (n > tau).mean()
        result[f"norm_excess{suffix}"] = np.maximum(n - tau, 0).mean()
        # StALT: the window's first token has no step
        weighted, uniform, entropy = [], [], []
        for t in [t for t in chosen if t > 0]:
            a = np.array([norm(h[layer, t, kept] - h[layer, t - 1, kept]) for layer in layers])
            b = np.array([norm(h[layer, t, kept] - h[layer - 1, t, kept]) for layer in layers])
            w = np.exp(b) / np.exp(b).sum()
            weighted.append((w * a).sum())
            uniform.append(a.mean())
            entropy.append(-(w * np.log(w)).sum())
        result[f"stalt{suffix}"], result[f"stalt_uniform{suffix}"] = np.mean(weighted), np.mean(uniform)
        result.setdefault("stalt_weight_entropy", np.mean(entropy))
        # Chain of embedding
        chain = h[:, chosen][..., kept].mean(1)
        steps = list(zip(chain[1:], chain[:-1], strict=True))
        m = np.array([norm(u - v) for u, v in steps]) / norm(chain[-1] - chain[0])
        a = np.array([math.acos(cosine(u, v)) for u, v in steps]) / math.acos(cosine(chain[-1], chain[0]))
        result[f"coe_r{suffix}"] = m.mean() - a.mean()
        result[f"coe_c{suffix}"] = math.sqrt(np.mean(m * np.cos(a)) ** 2 + np.mean(m * np.sin(a)) ** 2)
    by_cosine = []
    for t in [t for t in chosen if t > 0]:
        a = np.array([1 - cosine(h[layer, t], h[layer, t - 1]) for layer in layers])
        b = np.array([1 - cosine(h[layer, t], h[layer - 1, t]) for layer in layers])
        by_cosine.append((np.exp(b) * a).sum() / np.exp(b).sum())
    result["stalt_cosine"] = np.mean(by_cosine)
    # Head entropy
    one_minus = [1 - (seen["rows"][:, :, t] ** 2).sum(-1).mean() for t in chosen]
    result["renyi2"] = np.mean(one_minus)
    result["renyi2_scaled"] = np.mean([x / (1 - 1 / (seen["places"][t] + 1)) for x, t in zip(one_minus, chosen, strict=True)])
    # Effective depth
    kl = [np.mean([(p[layer - 1, t] * np.log(p[layer - 1, t] / p[-1, t])).sum() for t in chosen]) for layer in layers]
    for name, theta in {"ed_kl_010": 0.1, "ed_kl_050": 0.5}.items():
        result[name] = next(layer for layer in layers if kl[layer - 1] < theta * max(kl)) / LAYERS
    cosines = []
    for layer in layers:
        before, attention, mlp = h[layer - 1], seen["attention_out"][layer - 1], seen["mlp_out"][layer - 1]
        pairs = [(attention, before), (mlp, before + attention), (h[layer] - before, before)]
        cosines.append(np.mean([cosine(u[t], v[t]) for u, v in pairs for t in chosen]))
    turns = [layer for layer in layers[:-1] if cosines[layer - 1] < 0 <= cosines[layer]]
    result["ed_cosine"] = turns[-1] / LAYERS if turns else math.nan
    influence = [np.mean([1 - cosine(h[layer, t], h[layer - 1, t]) for t in chosen]) for layer in layers]
    result["block_depth"] = sum(x * (layer - 1) / (LAYERS - 1) for x, layer in zip(influence, layers, strict=True)) / sum(
        influence
    )
    # Sparsity, after transformers' own norm, and participation
    final = seen["final"][chosen]
    result["hoyer"] = np.mean([(WIDTH**0.5 - np.abs(x).sum() / norm(x)) / (WIDTH**0.5 - 1) for x in final])
    result["top_energy"] = np.mean([max(x**2) / (x**2).sum() for x in final])  # 5 % of 32 dimensions is 1
    eigenvalues = np.linalg.eigvalsh(np.cov(h[round(LAYERS / 2)][chosen], rowvar=False))
    result["participation"] = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    # Output entropy
    entropy = [-(p[-1, t] * np.log(p[-1, t])).sum() for t in chosen]
    result["entropy_slope"] = np.polyfit(chosen, entropy, 1)[0]
    result["high_entropy_share"] = np.mean([x > quantiles["prediction_entropy"] for x in entropy])
    return result


def item_of(lm, sequence, mean, quantiles, lens=True):
    arrays, scores = observe(lm, sequence, [], "mlp", None, mean, lens=lens)
    arrays["prediction_entropy"] = scores.entropies[sequence.start : sequence.end].astype(float)
    return ItemArrays(arrays, sequence.predictions.start, np.full(LAYERS, np.nan), quantiles=quantiles)


@pytest.fixture(scope="module")
def quantiles(lm, mean):
    """Return thresholds from two windows, one of them padded."""
    items = [item_of(lm, sequence, mean, {}) for sequence in SEQUENCES.values()]
    norms, entropies = np.full((2, 2, 2, 7), np.nan), np.full((2, 7), np.nan)
    for index, item in enumerate(items):
        norms[index, ..., : item.arrays["norm"].shape[-1]] = item.arrays["norm"]
        entropies[index, : len(item.arrays["prediction_entropy"])] = item.arrays["prediction_entropy"]
    return {"norm": tell_tale_norm.thresholds(norms), "prediction_entropy": output_entropy.threshold(entropies)}


@pytest.fixture(params=list(SEQUENCES))
def case(request, model, lm, mean, quantiles):
    sequence = SEQUENCES[request.param]
    return plain(model, sequence), item_of(lm, sequence, mean, quantiles)


@pytest.mark.parametrize("part", ["whole", "even", "odd"])
def test_each_measure_is_its_definition(case, mean, quantiles, settings, part):
    """Check the whole window, and its halves, over which a measure's reliability is estimated."""
    seen, item = case
    limits = {name: 0.95 * limit for name, limit in quantiles.items()}  # a quantile may be one token's own
    item = replace(item, quantiles=limits)
    rule = settings.measures.model_copy(update={"dtr_rho": 0.4})  # this model settles early
    places = list(range(len(seen["places"])))
    if part != "whole":
        parity = ["even", "odd"].index(part)
        item, places = item.half(parity), places[parity::2]
    expected = definitions(seen, places, mean, limits, rule)
    result = compute_measures(item, rule)
    assert set(expected) == set(NAMES)
    assert {name: result[name] for name in NAMES} == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)


def test_thresholds_are_quantiles_over_all_calibration_tokens(model, mean, quantiles):
    trim = [d for d in range(WIDTH) if d not in np.argsort(-np.abs(mean.numpy()).max(0))[:10]]
    streams = [plain(model, sequence)["h"] for sequence in SEQUENCES.values()]
    for row, kept in enumerate((list(range(WIDTH)), trim)):
        for index, layer in enumerate((7, 8)):
            norms = np.concatenate([np.linalg.norm(stream[layer][:, kept], axis=-1) for stream in streams])
            assert quantiles["norm"][row, index] == pytest.approx(np.quantile(norms, 0.95), rel=1e-6)
    assert np.isnan(tell_tale_norm.thresholds(np.full((3, 2, 2, 7), np.nan))).all()
    assert np.isnan(output_entropy.threshold(np.full((3, 7), np.nan)))


def test_the_last_state_is_normed_once(model, lm):
    """Check that a second norm of the last hidden state, which is normed, would show."""
    sequence = SEQUENCES["inside"]
    seen = plain(model, sequence)
    clean = capture(lm, sequence.ids, sequence.predictions)
    with torch.inference_mode():
        once = lm.norm(clean.hidden[-1])
        lens = unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1])
        twice = unembed.logit_lens(lm, clean.hidden[1:], once)
    assert once.numpy() == pytest.approx(seen["final"], rel=1e-9)
    assert lens.jsd[-1].max() < 1e-9
    assert twice.jsd[-1].min() > 1e-4


def test_the_state_of_the_prompt_is_that_of_its_last_token(model, lm, mean):
    for sequence in SEQUENCES.values():
        state = observe(lm, sequence, [], "mlp", None, mean, lens=False)[0]["prompt_state"]
        expected = [plain(model, sequence)["prompt"][round(depth * LAYERS)] for depth in states.PROMPT_DEPTHS]
        assert state == pytest.approx(np.stack(expected), rel=1e-6, abs=1e-6)


def test_without_the_lens_only_what_is_made_from_it_is_missing(lm, mean, quantiles, settings):
    result = compute_measures(item_of(lm, SEQUENCES["inside"], mean, quantiles, lens=False), settings.measures)
    lenses = {measure.name for measure in PUBLISHED if any("lens" in name or name == "jsd" for name in measure.required_arrays)}
    assert result.keys() & set(NAMES) == set(NAMES) - lenses
    assert len(lenses) == 12


def test_a_window_of_one_token_has_no_steps_and_no_spread(lm, mean, quantiles, settings):
    one = PromptAndContinuation(PROMPT, [4, 8, 15], start=1, end=2)
    result = compute_measures(item_of(lm, one, mean, quantiles), settings.measures)
    undefined = {name for name in NAMES if math.isnan(result[name])}
    steps = {name for name in NAMES if name.startswith("stalt")}
    assert undefined - {"ed_cosine"} == steps | {"participation", "entropy_slope"}


def test_an_item_without_a_window_has_no_published_measure(lm, mean, quantiles, settings):
    item = item_of(lm, SEQUENCES["inside"], mean, quantiles)
    empty = {name: np.full_like(array, np.nan) for name, array in item.arrays.items()}
    result = compute_measures(ItemArrays(empty, 0, item.thresholds, quantiles=quantiles), settings.measures)
    assert all(math.isnan(result[name]) for name in NAMES)


def test_padding_changes_no_published_measure(lm, mean, quantiles, settings):
    item = item_of(lm, SEQUENCES["inside"], mean, quantiles)
    width = len(item.arrays["hoyer"])
    padded = {}
    for name, array in item.arrays.items():
        wide = array.ndim and array.shape[-1] == width and name not in ("chain", "prompt_state")
        padded[name] = np.concatenate([array, np.full((*array.shape[:-1], 5), np.nan)], -1) if wide else array
    result = compute_measures(ItemArrays(padded, item.first_position, item.thresholds, quantiles=quantiles), settings.measures)
    assert result == pytest.approx(compute_measures(item, settings.measures), nan_ok=True)


def test_half_of_an_item_has_no_array_that_is_a_mean_over_all_its_window(lm, mean, quantiles):
    item = item_of(lm, SEQUENCES["inside"], mean, quantiles)
    assert item.arrays.keys() - item.half(0).arrays.keys() == {"cosine", "entropy_heads", "prompt_state"}


@pytest.fixture
def hidden():
    return torch.randn(6, 8, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def reductions(hidden):
    """Return what is reduced from a residual stream without a model, by name."""
    weighted, uniform, entropy = states.token_steps(hidden)
    return {
        "step_weighted": weighted[1:],
        "step_mean": uniform[1:],
        "step_entropy": entropy[1:],
        "step_cosine": states.cosine_steps(hidden)[1:],
        "chain": states.chain_of_embedding(hidden.mean(1)),
        "participation": states.participation_ratio(hidden),
    }


def test_no_rotation_of_the_residual_stream_matters(hidden):
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
    for name, value in reductions(hidden).items():
        assert torch.allclose(reductions(hidden @ rotation)[name], value), name


def test_no_scale_matters_but_to_norms_and_steps(hidden):
    before, after = reductions(hidden), reductions(7 * hidden)
    for name in ("step_cosine", "chain", "participation"):
        assert torch.allclose(after[name], before[name]), name
    assert torch.allclose(after["step_mean"], 7 * before["step_mean"])
    for one, other in zip(states.sparsity(hidden), states.sparsity(7 * hidden), strict=True):
        assert torch.allclose(one, other)


def test_of_constant_states_nothing_is_made_up(hidden):
    still = reductions(hidden[:, :1].expand(-1, 8, -1))  # all tokens alike
    assert still["step_weighted"].abs().max() == still["step_mean"].abs().max() == 0
    assert still["participation"].isnan().all()
    flat = reductions(hidden[:1].expand(6, -1, -1))  # all layers alike
    assert flat["step_entropy"].numpy() == pytest.approx(math.log(5))  # no layer weighs more than another
    assert flat["step_weighted"].numpy() == pytest.approx(flat["step_mean"].numpy())
    assert flat["chain"].isnan().all()


def test_known_sparsity_and_participation():
    one, all_alike = torch.zeros(1, 100), torch.ones(1, 100)
    one[0, 7] = -3
    assert [part.item() for part in states.sparsity(one)] == pytest.approx([1, 1])
    assert [part.item() for part in states.sparsity(all_alike)] == pytest.approx([0, 0.05], abs=1e-6)
    assert all(part.isnan().all() for part in states.sparsity(0 * one))
    corners = torch.eye(4).repeat(2, 1)[None]  # spread alike over three directions
    assert states.participation_ratio(corners).item() == pytest.approx(3)
    line = torch.arange(5.0)[None, :, None] * torch.ones(3)
    assert states.participation_ratio(line).item() == pytest.approx(1)


@pytest.mark.parametrize(("layers", "rows"), [(30, range(23, 30)), (28, range(22, 28)), (4, [3]), (2, [1]), (1, [])])
def test_late_layers_are_the_last_quarter_without_the_last(layers, rows):
    """Check 28 against the layers that the authors' code names, 21 to 26 from 0."""
    assert list(range(layers + 1)[states.late_layers(layers)]) == list(rows)


def test_every_published_measure_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & set(COMPONENTS)
    assert len({measure.label for measure in PUBLISHED}) == len(PUBLISHED)
    for measure in PUBLISHED:
        assert measure.direction in (1, 0, -1)
        assert all((measure.family, measure.formula, measure.range, measure.source))
    page = (ROOT / "docs" / "measures.md").read_text()
    assert [name for name in NAMES if f"`{name.removesuffix('_trimmed')}`" not in page] == []
    families = {measure.family for measure in PUBLISHED if measure.kind == "rival"}
    assert len(families) == 7  # and LiReF, which needs labels
