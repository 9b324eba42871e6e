"""Check prompts and matched controls of the default study's items."""

import shutil

import pandas as pd
import pytest

from tests.helpers.root import ROOT
from wor.config import params
from wor.data import build, datasets, frozen, items
from wor.data.items import normalise
from wor.errors import UserError


def count(text):
    """Count words. The stage counts tokens."""
    return len(text.split())


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "data" / "frozen", tmp_path / "data" / "frozen")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def built(settings, workspace):
    return build.build_items(settings, count)


def everything(built):
    return [item for entries in built.values() for item in entries]


def test_every_item_has_what_it_needs(settings, built):
    assert {name: len(entries) for name, entries in built.items()} == {"gsm-symbolic": 34, "syllogism": 33, "wiki": 54}
    for item in everything(built):
        assert item.prompt.startswith(settings.prompt.frames[0])
        assert item.prompt.endswith(settings.spec(item.dataset).instruction)
        assert item.gold


def test_literal_controls_are_the_same_articles_whole(settings, built):
    whole = build.full_length_controls(settings, built)
    controls = [item for item in built["wiki"] if item.split == "evaluation"][: settings.nulls.literal_n]
    assert {item.item_id for item in whole} == {item.item_id for item in controls}
    by_id = {item.item_id: item for item in controls}
    for item in whole:
        cut = by_id[item.item_id]
        assert item.gold in item.prompt
        assert item.gold == cut.gold
        assert len(item.prompt) >= len(cut.prompt)
        assert item.sha256 == cut.sha256
    assert sum(len(item.prompt) > len(by_id[item.item_id].prompt) for item in whole) >= 8
    unmatched = settings.model_copy(update={"control": settings.control.model_copy(update={"match": "none"})})
    assert build.full_length_controls(unmatched, build.build_items(unmatched, count)) == []


def test_the_gold_continuation_is_the_solution_or_what_a_prompt_leaves_of_its_article(settings, built):
    empty = 0
    for item in everything(built):
        continuation = build.gold_continuation(item)
        if item.role == "reasoning":
            assert continuation == item.gold
            continue
        body = item.prompt.removeprefix(settings.prompt.frames[0]).removesuffix(settings.spec(item.dataset).instruction)
        assert normalise(f"{body} {continuation}") == normalise(item.gold)
        assert continuation in item.gold
        empty += not continuation
    assert 1 <= empty < 5  # a prompt may show the whole of a short article
    assert all(build.gold_continuation(item) == "" for item in build.full_length_controls(settings, built))
    texts = {"gold": "One is here.\n\nTwo  is. Three.", "prompt": "x\n\nOne is here.\nTwo is.\n\ny"}
    assert build.gold_continuation(built["wiki"][0].model_copy(update=texts)) == "Three."


def test_a_gold_text_that_is_no_worked_solution_is_known_by_its_dataset(settings, built):
    for item in everything(built):
        assert bool(item.no_solution) == (item.dataset == "syllogism")
    assert "lists facts" in datasets.why_no_solutions(settings.dataset_specs["strategyqa"])
    assert datasets.why_no_solutions(settings.dataset_specs["gsm8k"]) == ""


def test_a_template_of_gsm_symbolic_has_one_number_of_steps(settings):
    """Hence there is no slope within its templates."""
    spec = settings.spec("gsm-symbolic").model_copy(update={"n": 300})
    steps = {}
    for row, raw in frozen.load_frozen_items("gsm-symbolic", spec):
        steps.setdefault(row["cluster"], set()).add(raw.solution.count("="))
    assert len(steps) > 70
    assert all(len(counts) == 1 for counts in steps.values())


def test_steps_are_the_results_that_a_worked_solution_states(built):
    for item in everything(built):
        if item.dataset == "gsm-symbolic":
            assert item.steps == item.gold.count("=") >= 1
        else:
            assert item.steps is None
    assert len({item.steps for item in built["gsm-symbolic"]}) >= 4


def test_matching_takes_the_nearest_number_of_sentences():
    text = "One two three. Four five six seven. Eight nine. Ten eleven twelve."
    for target in range(1, 20):
        matched = build.match_length(text, target, count)
        prefixes = [" ".join(datasets.sentences(text)[:end]) for end in (1, 2, 3, 4)]
        assert matched in prefixes
        assert abs(count(matched) - target) == min(abs(count(prefix) - target) for prefix in prefixes)


def test_controls_are_paired_with_each_reasoning_dataset_in_turn(built):
    for split in ("calibration", "evaluation"):
        controls = [item for item in built["wiki"] if item.split == split]
        partners = [item.paired_with for item in controls]
        assert [name.split("/")[0] for name in partners] == (["gsm-symbolic", "syllogism"] * len(partners))[: len(partners)]


def test_both_classes_are_held_out_and_a_cluster_never_is_on_both_sides(built):
    scored = {name: sum(item.split == "evaluation" for item in entries) for name, entries in built.items()}
    assert scored == {"gsm-symbolic": 17, "syllogism": 17, "wiki": 34}
    sides = {
        split: {item.cluster for item in everything(built) if item.split == split} for split in ("calibration", "evaluation")
    }
    assert not sides["calibration"] & sides["evaluation"]
    for item in everything(built):
        assert item.split == items.split_of(item.cluster, 0.3333)
    evaluated = [item.item_id for item in items.evaluation_items(everything(built))]
    assert evaluated == [item.item_id for item in everything(built) if item.cluster in sides["evaluation"]]


def test_a_control_has_the_length_of_a_partner_of_its_own_split(built):
    by_id = {item.item_id: item for item in everything(built)}
    for control in built["wiki"]:
        assert by_id[control.paired_with].split == control.split


def test_matching_brings_the_lengths_together(values, built, workspace):
    values["control"]["match"] = "none"
    literal = build.build_items(params.parse_params(values), count)

    def gap(study):
        mean = {}
        for role in ("reasoning", "control"):
            lengths = [count(item.prompt) for item in everything(study) if item.role == role]
            mean[role] = sum(lengths) / len(lengths)
        return abs(mean["reasoning"] - mean["control"])

    assert gap(built) < 4 < gap(literal)


def test_a_larger_study_keeps_the_pairs_of_a_smaller(values, built, workspace):
    values["dataset_specs"]["wiki"]["n"] = 40
    small = build.build_items(params.parse_params(values), count)
    assert [item.model_dump() for item in small["wiki"]] == [item.model_dump() for item in built["wiki"][:40]]


def test_reasoning_items_of_one_cluster_cannot_be_split(values, workspace):
    frozen = pd.read_csv("data/frozen/syllogism.csv", dtype=str).assign(cluster="one")
    frozen.to_csv("data/frozen/syllogism.csv", index=False)
    values["datasets"] = ["syllogism", "wiki"]
    message = r"dataset_specs.syllogism.n: 33 reasoning items give none of \w+\. Raise .* A cluster is never split"
    with pytest.raises(UserError, match=message):
        build.build_items(params.parse_params(values), count)


def test_too_few_controls_for_both_splits_is_refused(values, workspace):
    values["dataset_specs"]["wiki"]["n"] = 1
    with pytest.raises(UserError, match=r"dataset_specs.wiki.n: 1 gives no \w+ control\. Raise"):
        build.build_items(params.parse_params(values), count)
