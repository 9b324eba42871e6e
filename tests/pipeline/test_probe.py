"""A probed prompt has the numbers that the stages compute, and the range of the run's controls."""

import math
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import wor
from tests.helpers.files import strictly
from tests.helpers.root import ROOT
from tests.helpers.study import Study
from wor import paths, storage
from wor.config.params import load_params
from wor.data.items import read_items
from wor.engine import ablate
from wor.engine.capture import Span, capture
from wor.errors import UserError
from wor.measures import apl
from wor.measures.registry import LABELS
from wor.pipeline import probe as probing
from wor.pipeline.progress import Log
from wor.pipeline.session import start_session
from wor.report import terminal

pytestmark = pytest.mark.dvc

FARMER = "There are 12 students and 345 teachers in one school. How many people are there in total?"
DOGS = "All dogs are cats. Some cats are very small animals that people keep in their houses."


@pytest.fixture
def here(ran, monkeypatch):
    """Work in the folder of a study that has run."""
    monkeypatch.chdir(ran.folder)


@pytest.fixture
def alone(ran, tmp_path, monkeypatch):
    """Work in a folder that has parameters and no run."""
    for name in ("params.yaml", "prereg.yaml", "dvc.yaml"):
        shutil.copy(ran.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    study = Study(tmp_path)
    study.environment["PYTHONPATH"] = str(ROOT)
    return study


def values(probe, index=0):
    return probe.prompts[index].scores["value"]


@pytest.mark.parametrize("dataset", ["gsm-symbolic", "wiki"])
def test_an_item_of_the_run_has_its_stored_numbers(here, dataset):
    params = load_params()
    items = [item for item in read_items(paths.items(dataset)) if item.split == "evaluation"][:3]
    run = start_session(params, "tiny", Log("test"))
    probed = probing.probe_items(run, items, probing.read_controls(params, "tiny"))
    run.finish()
    stored = storage.read_csv(paths.metrics("tiny", dataset)).set_index("item_id")
    frame, _ = storage.read_records(paths.activations("tiny", dataset))
    texts = frame.set_index("item_id")["text"]
    assert [prompt.item.item_id for prompt in probed] == [item.item_id for item in items]
    for prompt in probed:
        row = stored.loc[prompt.item.item_id]
        assert prompt.record["text"] == texts[prompt.item.item_id]
        names = [name for name in prompt.scores.index if name in row]
        assert {*LABELS, "window_entropy", "token_len"} <= set(names)
        np.testing.assert_allclose(prompt.scores.loc[names, "value"], row[names].to_numpy(float), rtol=1e-5)


def test_the_text_of_an_item_s_prompt_has_the_numbers_of_the_item(here):
    """Without sampling the continuation is the item's. Paraphrases are keyed by the text."""
    stored = storage.read_csv(paths.metrics("tiny", "temperatures"))
    prompts = {item.item_id: item.prompt for name in load_params().datasets for item in read_items(paths.items(name))}
    rows = [row for _, row in stored[(stored["temperature"] == 0) & (stored["reason"].isna())].iterrows()]
    assert rows
    for row in rows[:2]:
        probe = wor.probe(prompts[row["item_id"]], changes={"temperature": 0.0})
        names = ["apl", "ape", "apl_given_entropy", "perplexity", "window_entropy", "token_len", "n_generated"]
        np.testing.assert_allclose(values(probe)[names], row[names].to_numpy(float), rtol=1e-5)
        assert probe.prompts[0].item.prompt == prompts[row["item_id"]]


def test_the_range_is_that_of_the_calibration_table(here):
    scores = wor.probe(FARMER).scores
    table = storage.read_csv(paths.metrics("tiny", "calibration"))
    for name in ("rev", "apl", "ape", "sib", "window_entropy", "perplexity"):
        others, row = table[name].dropna(), scores.loc[name]
        assert row["control_n"] == len(others)
        np.testing.assert_allclose(row[["control_mean", "control_sd"]].astype(float), [others.mean(), others.std()], rtol=1e-9)
        if math.isfinite(row["value"]):
            assert row["z"] == pytest.approx((row["value"] - others.mean()) / others.std())
            assert row["percentile"] == pytest.approx(100 * ((others < row["value"]) + (others == row["value"]) / 2).mean())


def test_every_measure_has_a_value_or_a_reason(here, alone):
    for probe in (wor.probe(FARMER), wor.probe("Hm", changes={"max_new_tokens": 2, "window.rule": "last_n"})):
        for prompt in probe.prompts:
            assert {"rev", "effect", *probing.REQUIRED_ARRAYS, *probing.COVARIATES} == set(prompt.scores.index)
            assert (np.isfinite(prompt.scores["value"]) == (prompt.scores["reason"] == "")).all()
            assert (prompt.scores.filter(like="control_n") == 0).all(axis=None)


def test_the_same_prompt_gives_the_same_numbers_also_beside_another(here):
    first, again, both = wor.probe(FARMER), wor.probe(FARMER), wor.probe(DOGS, FARMER)
    pd.testing.assert_frame_equal(first.scores, again.scores)
    np.testing.assert_allclose(values(both, 1), values(first), rtol=1e-5)
    assert both.prompts[0].record["text"] != both.prompts[1].record["text"]
    np.testing.assert_allclose(both.scores["difference"], values(first) - values(wor.probe(DOGS)), rtol=1e-5, atol=1e-6)


def test_without_a_run_the_own_window_stands_in_and_nothing_is_invented(alone, lm):
    probe = wor.probe(FARMER)
    assert probe.why_alone == "no run of tiny is here to compare with. Make one with: wor run"
    scores, record = probe.scores, probe.prompts[0].record
    assert np.isnan(scores.loc[["rev", "apl", "sib", "apl_given_entropy"], "value"].astype(float)).all()
    assert scores["reason"]["apl"] == "needs the reference of a run"
    assert np.isfinite(scores.loc[["ape", "dtr"], "value"].astype(float)).all()
    ids = [*record["prompt_ids"], *record["continuation_ids"]]
    clean = capture(lm, ids, Span(record["window_start"] - 1, record["window_end"] - 1))
    kl = ablate.layer_kl(lm, clean, "mlp", ablate.window_mean(clean, "mlp")).numpy()
    assert scores["value"]["effect"] == pytest.approx(apl.mean_log_effect(apl.layer_effects(kl)), rel=1e-4)


@pytest.mark.parametrize(("key", "value"), [("window.size", 16), ("ablation.part", "attention"), ("max_new_tokens", 20)])
def test_controls_of_other_settings_are_no_range(here, key, value):
    probe = wor.probe(FARMER, changes={key: value})
    assert probe.why_alone == f"the run that is here has another {key}. Make one with these settings: wor run"
    assert (probe.scores["control_n"] == 0).all()


def test_settings_of_the_measures_and_the_seed_keep_the_range(here):
    probe = wor.probe(FARMER, changes={"measures.tau": 0.0, "seed": 1, "temperature": 0.3})
    assert not probe.why_alone
    assert probe.scores["control_n"]["apl"] > 0
    assert probe.scores["control_mean"]["apl"] > wor.probe(FARMER).scores["control_mean"]["apl"]


def test_openings_and_instructions_that_a_text_has_are_not_added_again(settings):
    item = probing.make_item(FARMER, settings)
    opening, instruction = settings.prompt.frames[0], settings.dataset_specs["syllogism"].instruction
    assert item.prompt == f"{opening}\n\n{FARMER}"
    assert probing.make_item(item.prompt, settings) == item
    asked = probing.make_item(f"{FARMER}\n\n{instruction}", settings)
    assert (asked.prompt, asked.closing) == (f"{opening}\n\n{FARMER}\n\n{instruction}", "The answer is")
    assert asked.paraphrases
    assert all(text.endswith(f"\n\n{instruction}") for text in asked.paraphrases)
    assert all(text.startswith(frame) for text, frame in zip(asked.paraphrases, settings.prompt.frames[1:], strict=False))


def test_a_text_without_a_paraphrase_has_no_sib_and_a_reason(here):
    scores = wor.probe("12 + 345").scores
    assert scores["reason"]["sib"] == "no paraphrase kept every number and name and changed enough words of the item"
    assert scores["reason"]["rev"] == "needs SIB"


def test_a_prompt_longer_than_the_context_is_refused(here):
    with pytest.raises(UserError, match=r"against: prompt has \d+ tokens. The context holds 2048"):
        wor.probe(FARMER, "dogs and cats " * 900)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([" "], "error: text: ' '. Give the text of a prompt"),
        (["a", "--against", ""], "error: against: ''. Give the text of a prompt"),
        (["a", "--model", "smollm"], "error: model: 'smollm'. model_specs has smollm2-135m-instruct, tiny"),
        (["a", "--html", "no/page.html"], "error: --html: no/page.html: its folder does not exist."),
        (["a", "--html", "."], "error: --html: .: is a folder."),
        (["a", "-S", "tempera=1"], "error: tempera: unknown parameter (value 1). Did you mean temperature?"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(alone, arguments, line):
    before = sorted(alone.folder.rglob("*"))
    done = alone.run(sys.executable, "-m", "wor.cli", "probe", *arguments, expect=2)
    assert alone.refusal(done).startswith(line)
    assert (done.stdout, sorted(alone.folder.rglob("*"))) == ("", before)


def test_json_is_one_document_with_values_or_reasons(study):
    command = [sys.executable, "-m", "wor.cli", "probe", FARMER, "--against", DOGS, "--json", "--html", "page.html"]
    document = strictly(study.run(*command).stdout)
    assert [len(prompt["tokens"]) > 0 for prompt in document["prompts"]] == [True, True]
    for prompt in document["prompts"]:
        assert all((row["value"] is None) == bool(row["reason"]) for row in prompt["scores"].values())
        window = [token for token in prompt["tokens"] if token["in_window"]]
        assert all(token["entropy"] >= 0 for token in window)
    a, b = (prompt["scores"]["ape"]["value"] for prompt in document["prompts"])
    assert document["difference"]["ape"] == pytest.approx(b - a)
    assert (study.folder / "page.html").is_file()


def test_the_terminal_shades_tokens_where_it_has_colours_and_always_marks_the_window(here, tmp_path):
    probe = wor.probe(FARMER, DOGS)

    def shown(**options):
        console = Console(force_terminal=True, width=100, file=(tmp_path / "out").open("w"), **options)
        terminal.show_probe(probe, console)
        console.file.close()
        return (tmp_path / "out").read_text()

    coloured, plain = shown(color_system="truecolor"), shown(color_system="truecolor", no_color=True)
    assert "\x1b[30;48;2;255;" in coloured
    assert "Shade: entropy" in coloured
    assert "48;2" not in plain
    assert "Shade" not in plain
    for text in (coloured, plain):
        assert [text.count(mark) for mark in terminal.WINDOW_MARKS] == [3, 3]
        assert "B − A" in text


def test_what_a_terminal_would_obey_is_not_printed():
    assert terminal._printable("a\x1b[31mb\r\n\tc\u200b\x9b") == "a [31mb \n c\u200b "
