"""What is noted of a continuation: where its answer stands among its tokens."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers.root import ROOT
from wor import storage
from wor.data import answers, windows
from wor.data.items import Item
from wor.engine import parallel, states
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.observe import PromptAndContinuation, observe
from wor.engine.reference import pool_summaries, summarise_run
from wor.errors import UserError
from wor.measures.item_arrays import BY_PART, BY_TOKEN
from wor.pipeline import observation


@pytest.mark.parametrize(
    "output", storage.read_jsonl(ROOT / "tests" / "fixtures" / "outputs.jsonl"), ids=lambda output: output["item"]
)
def test_an_answers_tokens_hold_it_and_the_window_ends_before_them(lm, settings, output):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": "reasoning", "split": "evaluation", "paraphrases": [], "paraphrase_shares": []}
    item = Item(**about, answer_kind=output["kind"])
    ids = lm.encode(output["text"]) + sorted(lm.end_tokens)[:1] * output["finished"]
    response = observation._parse_response(lm, item, [0], ids, settings)
    (start, end), tokens = response.closing_span, windows.token_texts(response.sequence.continuation, lm.decode)
    assert "".join(tokens) == output["text"]
    if output["stated"] is None:
        assert (response.answer, response.correct) == ("", 0)
        # A number that cannot be read for certain ends the window too.
        number = answers.find_answer(output["text"], output["kind"], output["finished"])
        assert number or (start, end) == (len(tokens), len(tokens))
    else:
        assert response.answer == output["stated"]
        assert answers.find_answer("".join(tokens[start:end]), output["kind"], finished=True).value == output["stated"]
        assert response.sequence.end <= start < end


@pytest.mark.parametrize("role", ["reasoning", "control"])
@pytest.mark.parametrize("split", ["calibration", "evaluation"])
def test_a_window_that_loops_or_copies_is_excluded_in_both_classes_and_splits(lm, settings, role, split):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": role, "split": split, "paraphrases": [], "paraphrase_shares": []}
    item = Item(**about, answer_kind="none")
    passage = lm.encode("Somalia is a country in the east of Africa, and Mogadishu is the largest of its towns.")
    loop, new = passage[:8] * 6, list(range(100, 148))
    reasons = [
        observation._parse_response(lm, item, prompt, ids, settings).exclusion_reason
        for prompt, ids in (([0], loop), (passage, passage), ([0], new), (passage, new))
    ]
    why = "over 50% of the window repeats what stood before"
    assert reasons == [why, why, "", ""]
    looped = observation._parse_response(lm, item, [0], loop, settings)
    with pytest.raises(UserError, match=rf"1 of 3 have a window \(2: {why}\)"):
        usable = observation._parse_response(lm, item, [0], new, settings)
        other = item.model_copy(update={"role": "control" if role == "reasoning" else "reasoning"})
        others = [observation._parse_response(lm, other, [0], new, settings)] * 2
        observation.responses_with_window([looped, looped, usable, *others])


def test_a_controls_window_ends_before_its_closing_phrase(lm, settings):
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "prompt", "answer", "gold"), "")
    about |= {"role": "control", "split": "evaluation", "paraphrases": [], "paraphrase_shares": [], "closing": "That is all"}
    item = Item(**about, answer_kind="none")
    response = observation._parse_response(lm, item, [0], lm.encode("It is a town in Italy. That is all. It is"), settings)
    tokens = windows.token_texts(response.sequence.continuation, lm.decode)
    assert "".join(tokens[slice(*response.closing_span)]).strip() == "That is all"
    assert response.sequence.end == response.closing_span[0]
    assert "That" not in "".join(tokens[response.sequence.start : response.sequence.end])
    assert response.answer == ""


MODELS = [(30, 9, 576), (32, 15, 960), (24, 32, 2048)]  # layers, heads, width of SmolLM2's three sizes


@pytest.mark.parametrize(("layers", "heads", "width"), MODELS)
@pytest.mark.parametrize("lens", [True, False])
def test_what_published_measures_need_less_than_doubles_the_arrays(settings, layers, heads, width, lens):
    lm = SimpleNamespace(n_layers=layers, n_heads=heads, width=width)
    sizes = {name: array.nbytes for name, array in observation._pad(lm, [{}], settings, lens, others=lens).items()}
    own = {"kl", "entropy", "entropy_no_sink", "jsd", "entropy_heads"} | {name for name in sizes if name[:3] in ("kl_", "cos")}
    assert sum(sizes.values()) < 2 * sum(sizes[name] for name in own & sizes.keys())


@pytest.mark.parametrize("lens", [True, False])
def test_every_array_of_an_item_is_stored_in_its_own_shape(lm, settings, lens):
    """Check a window as long as stored windows are, a shorter one, and an item without one."""
    settings = settings.model_copy(update={"window": settings.window.model_copy(update={"size": 8})})
    replacement, belief = torch.zeros(lm.n_layers, lm.width), torch.ones(lm.n_layers + 1, lm.width)
    prompt, others = [5, 9, 2, 7], [[5, 2, 7], [9, 2, 7]]
    full, short = (
        observe(lm, PromptAndContinuation(prompt, list(range(20, 32)), 1, end), others, "mlp", replacement, belief, lens)[0]
        for end in (9, 5)
    )
    shapes = observation.array_shapes(lm, settings, lens, others=False)
    assert {name: array.shape for name, array in full.items()} == shapes
    stored = observation._pad(lm, [full, short, {}], settings, lens, others=False)
    for name, array in stored.items():
        tolerance = 1e-3 if name in observation.HALF_PRECISION else 0
        assert array[0] == pytest.approx(full[name], rel=tolerance, abs=1e-7, nan_ok=True)
        assert array[1][tuple(map(slice, short[name].shape))] == pytest.approx(short[name], rel=tolerance, abs=1e-7, nan_ok=True)
        assert np.isnan(array[2]).all()
    by_token = {name for name, shape in shapes.items() if shape[-1] == 8} - {"part_cosine", "block_influence"}
    assert by_token == BY_TOKEN & shapes.keys()
    assert {name for name, shape in shapes.items() if shape[0] == len(states.PARTS)} >= BY_PART & shapes.keys()


@pytest.mark.parametrize("memory", [2**30, 2**21])
def test_a_shard_is_observed_the_same_where_items_share_passes(lm64, settings, monkeypatch, memory):
    """Group items as on a GPU: with windows of two widths and without any, with room for few."""
    lm = LM(lm64.hf, lm64.tokenizer, memory)
    about = dict.fromkeys(("item_id", "dataset", "cluster", "sha256", "answer", "gold"), "")
    about |= {"role": "reasoning", "split": "evaluation", "answer_kind": "none", "paraphrase_shares": []}
    texts = ["How many towns are in Italy?", "Is Somalia in the east of Africa, or is it not?", "Count."]
    responses = []
    for index in range(12):
        text = texts[index % 3]
        item = Item(**about | {"item_id": str(index)}, prompt=text, paraphrases=[f"Well. {text}", f"{text} So?"][: index % 4])
        length = [52, 24, 2, 52][index % 4]
        ids = [7] * length if index == 8 else list(range(50 + index, 50 + index + length))
        responses.append(observation._parse_response(lm, item, lm.encode(text), ids, settings))
    clean = [capture(lm, list(range(9, 60)), Span(8, 40))]
    parts = [{name: array[None] for name, array in summarise_run(run, 8).items()} for run in clean]
    reference = pool_summaries(parts[0])
    others = observation.Others({"control": reference, "reasoning": reference}, frozenset({"0", "3", "4", "5"}))

    def observe_all():
        task = observation._observe(lm, responses, lambda n=1: steps.append(n), settings, reference, lens=True, others=others)
        ((_, records),) = parallel.run_tasks(lm, [(0, task)], len(responses))
        return records

    steps: list[int] = []
    alone, arrays = observe_all()
    groups = []
    device = SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(observation, "deal", lambda lm, kinds: groups.extend(parallel.deal(device, kinds)) or groups)
    together, shared = observe_all()
    assert max(map(len, groups)) > 1
    assert steps[:12] == [1] * 12
    assert sorted(steps[12:]) == sorted(map(len, groups))
    assert together["reason"].tolist() == alone["reason"].tolist()
    assert (together["reason"] != "").sum() >= 4
    for name in alone.columns.drop("seconds"):
        for left, right in zip(alone[name], together[name], strict=True):
            assert right == (pytest.approx(left, abs=1e-6, nan_ok=True) if isinstance(left, float | np.ndarray) else left), name
    assert arrays.keys() == shared.keys()
    for name, array in arrays.items():
        tolerance = 1e-3 if name in observation.HALF_PRECISION else 1e-5
        assert shared[name] == pytest.approx(array, abs=tolerance, rel=tolerance, nan_ok=True), name
