"""A plan made in a study, and how it is shown."""

import io
import json
import sys

import pytest
from rich.console import Console
from tokenizers import Tokenizer

from wor.config import overrides
from wor.config.params import load_params
from wor.data.items import Item
from wor.machine import resources
from wor.pipeline import graph, selection, validation
from wor.plan import entries, plan, show

MAKE_PLAN = """
import json, sys
from dataclasses import asdict
from wor.config import overrides
from wor.pipeline import graph, validation
from wor.plan import plan
changes = overrides.parse_settings(sys.argv[1:])
print(json.dumps(asdict(plan.make_plan(validation.check_run(changes), changes, measuring=0.2))))
"""


def make_plan(study, *settings: str) -> tuple[dict, dict[str, dict]]:
    """Return the plan of a run with ``settings``, and its lines by stage."""
    estimate = json.loads(study.run(sys.executable, "-c", MAKE_PLAN, *settings).stdout.splitlines()[-1])
    return estimate, {line["stage"]: line for line in estimate["lines"]}


@pytest.mark.dvc
def test_a_plan_counts_the_items_and_tokens_that_the_stages_then_read(study, tiny_folder):
    estimate, lines = make_plan(study, "max_new_tokens=20")
    new, count = 20, Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    items = {
        name: [json.loads(line) for line in (study.folder / f"data/items/{name}.jsonl").read_text().splitlines()]
        for name in ("gsm-symbolic", "syllogism", "wiki")
    }

    def length(text: str) -> int:
        return entries.TEMPLATE + len(count.encode(text).ids)

    def tokens(item: dict) -> int:
        """Return the tokens of an item that is generated and observed, with its paraphrases."""
        return 2 * (length(item["prompt"]) + new) + sum(map(length, item["paraphrases"]))

    stages = {
        f"activations@tiny-{name}": [item for item in group if item["split"] == "evaluation"] for name, group in items.items()
    }
    for stage, group in stages.items():
        assert (lines[stage]["items"], lines[stage]["tokens"]) == (len(group), sum(map(tokens, group)))
    held_out = [Item(**item) for group in items.values() for item in group if item["split"] == "calibration"]
    controls = [item.model_dump() for item in held_out if item.role == "control"]
    reasoning = selection.reference_reasoning(held_out, load_params(study.folder / "params.yaml"))  # generated, not observed
    assert lines["reference@tiny"]["items"] == len(controls) + len(reasoning)
    generated = sum(length(item.prompt) + new for item in reasoning)
    assert lines["reference@tiny"]["tokens"] == sum(map(tokens, controls)) + generated
    assert lines["temperatures@tiny"]["items"] == 2 * 2 * 2  # robustness.n of each class at each temperature
    measured = {stage for stage, line in lines.items() if line["flops"]}
    assert measured == {*stages, "reference@tiny", "temperatures@tiny", "nulls@tiny", "designs@tiny", "heads@tiny"}
    assert all(line["seconds"] > 0 for line in lines.values() if not line["cached"])
    assert lines["models@tiny"]["cached"]
    assert estimate["memory"] >= resources.LIBRARIES + 2 * 4 * study.json("data/models/tiny.json")["n_params"]
    assert estimate["disk"] > 0
    assert estimate["download"] == {}


@pytest.mark.dvc
def test_models_that_are_not_here_are_a_download_or_lines_without_numbers(study, tmp_path):
    hub = {"source": "hub", "revision": "main"}
    specs = {"small": {**hub, "label": "SmolLM-135M", "repo": "HuggingFaceTB/SmolLM-135M"}}
    specs["small-other"] = {**hub, "label": "Other", "repo": "someone/other"}  # a name that begins with another's
    study.change({"models": ["small", "small-other"], "model_specs": specs, "control": {"length_model": "small"}})
    study.environment["HF_HOME"] = str(tmp_path / "hub")
    estimate, lines = make_plan(study)
    assert estimate["download"] == {"small": 4 * 134_515_008}
    assert estimate["memory"] >= resources.LIBRARIES + 2 * 4 * 134_515_008
    for kind in ("reference@{}", "activations@{}-wiki", "nulls@{}"):
        assert lines[kind.format("small")]["seconds"] > 0
        assert lines[kind.format("small-other")]["seconds"] is None
        assert lines[kind.format("small-other")]["items"] == 0
    assert any(line.startswith("small-other is not on this machine and its sizes are not known") for line in estimate["assumed"])
    assert not any((tmp_path / "hub").rglob("*.safetensors"))


def test_a_dataset_of_the_hub_that_is_not_here_is_planned_from_its_list(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    full, assumed = validation.check_run(overrides.load_profile("full")), []
    assert entries.build_if_available(full, assumed) is None
    (line,) = assumed
    assert "120 tokens per item" in line
    assert "gsm8k, strategyqa" in line
    items, full_length = entries.planned_items(full, None, len)
    assert (len(items), len(full_length)) == (2400, full.nulls.literal_n)
    assert list(tmp_path.iterdir()) == []


def test_a_models_stages_are_its_own_alone(settings):
    other = settings.model_copy(update={"models": ["a", "a-b"]})
    names = {model: {graph.instance_name(*pair) for pair in graph.model_instances(other, model)} for model in other.models}
    stages = {"reference", "activations", "temperatures", "nulls", "designs", "heads"}
    assert {stage.split("@")[0] for stage in names["a"]} == stages
    assert "activations@a-wiki" in names["a"]
    assert not names["a"] & names["a-b"]


@pytest.mark.parametrize(
    ("max_new_tokens", "answered"), [(16, "2 of 32 responses"), (32, "2 of 32"), (64, "3 of 32"), (65, ""), (256, "")]
)
def test_a_plan_warns_where_the_pilot_had_hardly_an_answer(max_new_tokens, answered):
    text = "".join(plan.warn_of_short_responses(max_new_tokens))
    assert answered in text
    assert bool(text) == bool(answered)


def test_a_plan_is_shown_with_its_sums_and_what_is_not_known(settings):
    lines = [
        plan.StageEstimate("ids", cached=True),
        plan.StageEstimate("reference@tiny", False, items=1200, tokens=34_567, flops=2.5e12, seconds=150.0),
        plan.StageEstimate("nulls@tiny", False, items=300, tokens=433, flops=1e12, seconds=30.0),
        plan.StageEstimate("heads@other", False, seconds=None),
    ]
    estimate = plan.Plan(lines, 3 * 2**30, 5 * 2**20, {"other": 2.5e9}, ["tiny: [fast]"], ["all is well"], ["too short"])
    out = io.StringIO()
    show.show_plan(settings, estimate, Console(file=out, width=100))
    rows = {cells[0]: cells[1:] for line in out.getvalue().splitlines() if len(cells := line.strip("│ ").split("│")) == 5}
    rows = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert rows["ids"] == ["", "", "", "DVC has it"]
    assert rows["reference@tiny"] == ["1,200", "34,567", "2.5", "2 min"]
    assert rows["heads@other"] == ["", "", "", "not known"]
    assert rows["in all"] == ["1,500", "35,000", "3.5", "3 min"]
    for line in (
        "Memory: 3.0 GiB at the peak. Disk: 5 MiB",
        "Download: other, up to 2.5 GB",
        "Measured: tiny: [fast]",
        "Assumed: all is well",
        "Mind: too short",
    ):
        assert line in out.getvalue()
