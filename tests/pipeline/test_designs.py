"""Copies and gold text: the same tokens under another prompt, and what is observed of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wor.config.params import Params
from wor.data.items import Item
from wor.engine.ablate import replaced_output
from wor.engine.capture import Span, capture
from wor.engine.observe import PromptAndContinuation
from wor.engine.parallel import run_tasks
from wor.engine.reference import pool_summaries, summarise_run
from wor.errors import UserError
from wor.pipeline import designs, observation, selection

PASSAGE = "The old mill stands by the river. It was built of stone in 1742 by two brothers from the north."
REST = "Its wheel turned until the flood of the spring of 1911 took most of the weir away, and " * 3 + "it was never mended."


def make_item(role: str, **changes) -> Item:
    about = {"split": "evaluation", "sha256": "", "answer": "", "paraphrases": ["Again."], "paraphrase_shares": [0.2]}
    about |= {"item_id": f"{role}/1", "dataset": role, "cluster": role, "role": role, "answer_kind": "none"}
    texts = {"prompt": f"Here.\n\n{PASSAGE}\n\nRetell.", "gold": f"{PASSAGE} {REST}"} if role == "control" else {}
    texts = texts or {"prompt": "How many are 3 and 4?", "gold": "There are 3 and 4 of them, so in all " * 6 + "3 + 4 = 7."}
    return Item(**about | texts | changes)


@pytest.fixture
def run(lm, settings):
    return SimpleNamespace(lm=lm, params=settings)


def with_designs(settings: Params, **changes) -> Params:
    return settings.model_copy(update={"designs": settings.designs.model_copy(update=changes)})


@pytest.fixture
def own(lm, settings):
    item = make_item("reasoning")
    prompt, text = lm.encode(lm.render(item.prompt)), lm.encode("We add 3 and 4, which are 7 of them. The answer is 7.")
    return observation._parse_response(lm, item, prompt, text, settings)


def test_a_copy_has_the_same_tokens_and_window_under_a_prompt_that_shows_them(run, own):
    (copied,) = designs.copy_responses(run, [own])
    sequence, original = copied.sequence, own.sequence
    assert sequence.continuation == original.continuation
    assert (sequence.start, sequence.end) == (original.start, original.end)
    assert sequence.prompt != original.prompt
    shown = run.lm.decode(sequence.prompt)
    assert own.text in shown
    assert shown.index(run.params.prompt.frames[0]) < shown.index(own.text) < shown.index(run.params.designs.copy_instruction)
    assert (copied.item.paraphrases, copied.exclusion_reason, copied.text) == ([], own.exclusion_reason, own.text)


def test_gold_text_is_the_solution_or_what_the_prompt_does_not_show(run, settings):
    solution, article = designs.gold_responses(run, [make_item("reasoning"), make_item("control")])
    for response in (solution, article):
        sequence = response.sequence
        assert (sequence.start, sequence.end, len(sequence.continuation)) == (0, settings.window.size, settings.window.size)
        assert sequence.prompt == run.lm.encode(run.lm.render(response.item.prompt))
        assert response.exclusion_reason == ""
        assert response.item.paraphrases == []  # designs.paraphrases is 0
    assert make_item("reasoning").gold.startswith(solution.text)
    assert REST.startswith(article.text)
    one = SimpleNamespace(lm=run.lm, params=with_designs(settings, paraphrases=1))
    assert designs.gold_responses(one, [make_item("control")])[0].item.paraphrases == ["Again."]


def test_too_little_gold_text_is_counted_by_its_reason_and_never_taken(settings):
    items = [
        make_item("reasoning"),
        make_item("reasoning", item_id="r/2", gold="It is 7."),
        make_item("reasoning", item_id="r/3", no_solution="no worked solution: a verdict"),
        make_item("control"),
        make_item("control", item_id="c/2", prompt=f"{PASSAGE} {REST}"),
        make_item("control", item_id="c/3", split="calibration"),
    ]
    chosen = selection.designs_items(items, settings)
    assert [item.item_id for item in chosen["gold"]] == ["reasoning/1", "control/1"]
    assert [item.item_id for item in chosen["own"]] == ["reasoning/1", "r/2", "r/3"]
    few = f"gold text of fewer than {settings.window.size} words"
    expected = {f"reasoning: {few}": 1, "reasoning: no worked solution: a verdict": 1, f"control: {few}": 1}
    assert selection.gold_exclusions(items, settings) == expected
    assert [len(part) for part in selection.designs_items(items, with_designs(settings, n=1)).values()] == [1, 2]


def test_a_prompt_that_shows_too_long_a_text_is_refused(run, own):
    long = SimpleNamespace(lm=SimpleNamespace(encode_prompt=run.lm.encode_prompt, context=8), params=run.params)
    tokens = own.sequence.continuation * 300
    response = own.__class__(**vars(own) | {"text": own.text * 300, "sequence": PromptAndContinuation([0], tokens, 0, 32)})
    with pytest.raises(UserError, match="reasoning/1: prompt has"):
        designs.copy_responses(long, [response])


def test_what_is_observed_of_a_copy_is_a_plain_forward_pass(lm64, settings, own):
    """Compare KL, entropy and log-probability of one item with full passes and a hook by layer."""
    lm, run = lm64, SimpleNamespace(lm=lm64, params=settings)
    summary = summarise_run(capture(lm, lm.encode(PASSAGE), Span(2, 40)), 8)
    reference = pool_summaries({name: array[None] for name, array in summary.items()})
    for response in (own, *designs.copy_responses(run, [own]), *designs.gold_responses(run, [make_item("control")])):
        task = observation._observe(lm, [response], lambda step=1: None, settings, reference, lens=False)
        ((_, (frame, arrays)),) = run_tasks(lm, [(0, task)], 1)
        sequence, row = response.sequence, frame.iloc[0]
        tokens, positions = torch.tensor([sequence.ids]), slice(sequence.predictions.start, sequence.predictions.end)
        targets = torch.tensor(sequence.continuation[sequence.start : sequence.end])
        with torch.no_grad():
            clean = lm.hf(tokens).logits[0, positions].log_softmax(-1)
            for layer in range(lm.n_layers):
                with replaced_output(lm, layer, "mlp", sequence.predictions, reference.mlp[layer].to(lm.dtype)):
                    changed = lm.hf(tokens).logits[0, positions].log_softmax(-1)
                kl = (clean.exp() * (clean - changed)).sum(-1)
                stored = arrays["kl"][0, layer, : len(targets)]
                np.testing.assert_allclose(stored, kl.numpy(), rtol=1e-4, atol=1e-7)
        window = slice(row["window_start"] - row["token_len"], row["window_end"] - row["token_len"])
        entropy = -(clean.exp() * clean).sum(-1)
        np.testing.assert_allclose(row["token_entropy"][window], entropy.numpy(), rtol=1e-5)
        expected = clean[torch.arange(len(targets)), targets]
        np.testing.assert_allclose(row["token_logprob"][window], expected.numpy(), rtol=1e-5)
