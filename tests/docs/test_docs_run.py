"""Carry out the tutorial and the how-to pages with the commands, code and settings of the pages.

The tests leave out what `make setup` installs, because they run in it. They clone a local
repository, and its params.yaml names a tiny random model.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from transformers import LlamaForCausalLM

from tests.helpers.root import ROOT
from tests.helpers.study import Study, merge, tiny_model
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor.config import params

pytestmark = pytest.mark.dvc

DOCS = ROOT / "docs"
SET_UP = ["git clone URL study", "cd study", "make setup", ". .venv/bin/activate"]
TINY_NAMES = {"SmolLM2-135M-Instruct": "Tiny-Random", "smollm2-135m-instruct": "tiny"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    return [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def study(tiny_folder, tmp_path_factory):
    """Follow the tutorial to its end, and check each output that it shows."""
    origin = tmp_path_factory.mktemp("docs") / "origin"
    origin.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "requirements-data.txt"):
        shutil.copy(ROOT / name, origin / name)
    shutil.copytree(ROOT / "tools", origin / "tools")
    clone = Study.make(origin, tiny_model(tiny_folder), {"compute": {"threads": 1}}).clone(origin.parent / "study")
    assert "tools/environment.py .venv" in clone.run("make", "-n", "setup").stdout
    clone.run(sys.executable, "-m", "wor.figures.offline")  # the last step of make setup
    output = ""
    for language, text in blocks(DOCS / "tutorial.md"):
        if language == "sh":
            output = "".join(clone.run("bash", "-c", line).stdout for line in text.splitlines() if line not in SET_UP)
        elif language == "python":
            assert "ape" in clone.run(sys.executable, "-c", text).stdout
        else:
            assert language == "text"
            for shipped, tiny in TINY_NAMES.items():
                text = text.replace(shipped, tiny)
            printed = [line.strip() for line in output.splitlines()]
            assert [line for line in text.splitlines() if line not in printed] == [], output
    return clone


@pytest.fixture
def after(study, tmp_path):
    """A copy of the tutorial's study for one how-to page."""
    return study.copy(tmp_path / "study")


def follow(study: Study, page: Path) -> Path:
    """Do what a page says, block by block, and return the folder of the iteration that it makes.

    A block of Python with a path in its first line is a new file, or shows what a command wrote.
    """
    before = study.iterations()
    for language, text in blocks(page):
        first, _, rest = text.partition("\n")
        if language == "sh":
            done = [study.run("bash", "-c", line) for line in text.splitlines()]
            study.output = "".join(step.stdout + step.stderr for step in done)
        elif language == "python":
            path = study.folder / first.removeprefix("# ")
            if path.exists():
                assert path.read_text() == rest, f"{page.name} does not show {first}"
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        elif language == "diff":
            path = study.folder / first.removeprefix("--- ")
            for hunk in rest.split("@@\n"):
                old, new = ("".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in side) for side in (" -", " +"))
                assert path.read_text().count(old) == 1, old
                path.write_text(path.read_text().replace(old, new))
        elif language == "yaml":
            assert first == "# params.yaml"
            study.change(yaml.safe_load(text))
    made = set(study.iterations()) - set(before)
    return study.folder / "experiments" / made.pop() if made else study.folder


def ran(study: Study) -> set[str]:
    """Return the stages that the last block of commands ran, without those from DVC's cache."""
    return {name.split("@")[0] for name in re.findall(r"^Running stage '([^']+)'", study.output, re.MULTILINE)}


def test_the_tutorial_gives_two_iterations_that_differ_in_what_it_changed(study):
    assert study.iterations() == ["iteration_001", "iteration_002"]
    used = [yaml.safe_load((study.folder / "experiments" / name / "config_used.yaml").read_text()) for name in study.iterations()]
    assert used[1] == merge(used[0], {"temperature": 0.7})
    (header,) = (line for line in study.run("wor", "runs").stdout.splitlines() if "┃ experiment" in line)
    assert [name.strip() for name in header.split("┃")[-2:-1]] == ["temperature"]  # nothing else varies
    assert header.count("┃") == 8
    assert (study.folder / "compared" / "index.html").read_text().count("var spec") == 7
    assert study.run("git", "log", "-1", "--format=%s", "--", "experiments/iteration_001.dvc").stdout.strip()
    assert set(SET_UP) < set(commands(DOCS / "tutorial.md"))


def test_a_measure_is_one_command_and_is_reported_everywhere(after):
    new = follow(after, DOCS / "howto" / "measure.md")
    assert ran(after) == {"check", "metrics", "stats", "figures", "iteration"}  # no model
    items = pd.read_csv(new / "results" / "Tiny-Random_metrics.csv")
    layers = pd.concat(pd.read_csv(path) for path in (new / "results").glob("*_layers.csv"))
    late = layers[layers["layer"] == 4].set_index("item_id")["ablation_kl"] / layers.groupby("item_id")["ablation_kl"].sum()
    assert items.set_index("item_id")["late"].to_dict() == pytest.approx(late.to_dict(), rel=1e-5)
    result = json.loads((new / "results" / "aggregate_statistics.json").read_text())["models"]["tiny"]
    for part in ("auroc", "added", "partial"):
        assert "late" in result[part]
    assert "late" in result["rivals"]["difference"]
    assert {"auroc_late", "partial_late"} <= set(result["holm"])
    assert "late" in result["spread"]["reasoning"]
    assert "late" in set(pd.read_csv(new / "results" / "statistics.csv")["of"])
    assert "LATE" in after.run("wor", "results", new.name, "--all").stdout
    old = pd.read_csv(after.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv")
    pd.testing.assert_frame_equal(items.drop(columns="late"), old)  # nothing else moved
    # An iteration from before there was the measure can still be shown and compared.
    assert "LATE" not in after.run("wor", "results", "iteration_001").stdout
    assert "AUROC of late" in after.run("wor", "compare", "iteration_001", new.name).stdout
    registered = after.folder / "prereg.yaml"
    registered.write_text(registered.read_text().replace("quantity: rival.dtr", "quantity: rival.late"))
    after.run("wor", "check")


def test_a_figure_is_one_command_and_is_drawn_for_an_iteration_that_is_there(after):
    new = follow(after, DOCS / "howto" / "figure.md")
    assert ran(after) == {"check", "metrics", "stats", "figures", "iteration"}  # metrics draws the calibration items too
    assert {path.suffix for path in (new / "figures").glob(f"Fig5_forest__{new.name}.*")} == {".png", ".svg", ".pdf", ".json"}
    caption = json.loads((new / "figures" / f"Fig5_forest__{new.name}.json").read_text())
    assert caption["figure"] == "Fig5"
    assert [point["series"] for point in caption["points"]][:5] == ["rev", "apl", "ape", "sib", "dtr"]
    assert "200 bootstrap draws" in caption["caption"]
    assert list((after.folder / "plots").rglob("*forest*.svg"))


def test_a_stage_is_three_files(after):
    follow(after, DOCS / "howto" / "stage.md")
    assert ran(after) == {"check", "repeats", "iteration"}
    assert re.search(r"repeats tiny: tiny, control: \d+% of the continuation repeats", after.output)
    assert "repeats@tiny" in after.run("wor", "plan", "--profile", "debug").stdout


def test_a_dataset_is_an_entry_and_its_frozen_list(after):
    page = DOCS / "howto" / "dataset.md"
    (example,) = (text for language, text in blocks(page) if language == "json")
    rows = [json.loads(line) for line in example.splitlines()]
    rows += [rows[n % 2] | {"id": f"r{n + 1}", "question": f"It is day {n}. {rows[n % 2]['question']}"} for n in range(2, 24)]
    (after.folder / "data" / "local").mkdir()
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (after.folder / "data" / "local" / "riddles.jsonl").write_text(lines)
    new = follow(after, page)
    table = pd.read_csv(new / "results" / "Tiny-Random_riddles_metrics.csv")
    assert len(table) == 13  # of 24, as 11 are held out
    assert table["rev"].notna().all()
    assert set(table["item_id"]) < {f"riddles/r{n}" for n in range(1, 25)}
    result = json.loads((new / "results" / "aggregate_statistics.json").read_text())["models"]["tiny"]
    assert result["n"]["reasoning"] == result["accuracy"]["riddles"]["n"] == 13


def test_a_model_is_an_entry(after):
    mine = after.folder / "data" / "local" / "mine"
    torch.manual_seed(8)
    LlamaForCausalLM(tiny_config(num_hidden_layers=3)).save_pretrained(mine)
    tiny_tokenizer().save_pretrained(mine)
    new = follow(after, DOCS / "howto" / "model.md")
    cards = json.loads((new / "results" / "model_results.json").read_text())
    assert list(cards) == ["mine"]
    assert cards["mine"]["card"]["n_layers"] == 3
    assert pd.read_csv(new / "results" / "Mine_metrics.csv")["rev"].notna().all()
    shipped = params.load_params(ROOT / "params.yaml").model_specs["smollm2-135m-instruct"]
    of_page = params.load_params(after.folder / "params.yaml").model_specs["from-a-package"]
    assert of_page == shipped.model_copy(update={"label": of_page.label})


def test_the_results_page_names_every_file_column_and_key(study):
    pages = "".join((DOCS / name).read_text() for name in ("results.md", "measures.md"))
    page = re.sub(r"^```.*?^```$", "", pages, flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", page))))
    results = study.folder / "experiments" / "iteration_001" / "results"
    tables = sorted(results.glob("*.csv"))
    assert len(tables) > 10
    for path in tables:
        kind = path.stem.split("_", 1)[-1]
        assert kind == "statistics" or kind.split("_", 1)[-1] in page, path.name
        columns = set(pd.read_csv(path).columns)
        assert {re.sub("^(auroc|delta_auc)_|_trimmed$", "", column) for column in columns} - named == set(), path.name
    statistics = json.loads((results / "aggregate_statistics.json").read_text())
    assert set(statistics) | set(statistics["models"]["tiny"]) <= named
    files = {path.name for path in (results.parent).iterdir()}
    assert {name for name in files if name.split(".")[0] not in page} == set()
