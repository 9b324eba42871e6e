"""The tutorial and the how-to pages, carried out: their commands, code and settings are taken from the pages themselves.

Left out: what `make setup` installs, which these tests run in. The clone is of a local repository, and the model that
its params.yaml names is a tiny random one.
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
HOWTO = sorted((DOCS / "howto").glob("*.md"))
SET_UP = ["git clone URL study", "cd study", "make setup", ". .venv/bin/activate"]
OURS = {"SmolLM2-135M-Instruct": "Tiny-Random", "smollm2-135m-instruct": "tiny"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    return [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def study(tiny_folder, tmp_path_factory):
    """What the reader has after the tutorial's last page, each thing that it shows having been seen on the way."""
    origin = tmp_path_factory.mktemp("docs") / "origin"
    origin.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements-data.txt"):
        shutil.copy(ROOT / name, origin / name)
    made = Study.make(origin, tiny_model(tiny_folder), {"compute": {"threads": 1}}).clone(origin.parent / "study")
    assert "pip install" in made.run("make", "-n", "setup").stdout
    made.run(sys.executable, "-m", "wor.figures.offline")  # which it ends in
    said = ""
    for language, text in blocks(DOCS / "tutorial.md"):
        if language == "sh":
            said = "".join(made.run("bash", "-c", line).stdout for line in text.splitlines() if line not in SET_UP)
        elif language == "python":
            assert "ape" in made.run(sys.executable, "-c", text).stdout
        else:
            assert language == "text"
            for theirs, own in OURS.items():
                text = text.replace(theirs, own)
            seen = [line.strip() for line in said.splitlines()]
            assert [line for line in text.splitlines() if line not in seen] == [], said
    return made


@pytest.fixture
def after(study, tmp_path):
    """A copy for one how-to page."""
    return study.copy(tmp_path / "study")


def apply(study: Study, page: Path) -> None:
    """Write the page's files, make its changes, and add its settings."""
    for language, text in blocks(page):
        first, _, rest = text.partition("\n")
        if language == "python":
            (study.folder / first.removeprefix("# ")).write_text(text)
        elif language == "diff":
            path = study.folder / first.removeprefix("--- ")
            for hunk in rest.split("@@\n"):
                old, new = ("".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in side) for side in (" -", " +"))
                assert path.read_text().count(old) == 1, old
                path.write_text(path.read_text().replace(old, new))
        elif language == "yaml":
            assert first == "# params.yaml"
            study.change(yaml.safe_load(text))


def carry_out(study: Study, page: Path) -> Path:
    """Run the page's commands; the new iteration's folder."""
    before = study.iterations()
    for line in commands(page):
        done = study.run("bash", "-c", line)
    study.output = done.stdout
    (new,) = set(study.iterations()) - set(before)
    return study.folder / "experiments" / new


def ran(study: Study) -> set[str]:
    """The stages that ran, without those that DVC took from its cache."""
    return {name.split("@")[0] for name in re.findall(r"^Running stage '([^']+)'", study.output, re.MULTILINE)}


def test_the_tutorial_gives_two_iterations_that_differ_in_what_it_changed(study):
    assert study.iterations() == ["iteration_001", "iteration_002"]
    used = [yaml.safe_load((study.folder / "experiments" / name / "config_used.yaml").read_text()) for name in study.iterations()]
    assert used[1] == merge(used[0], {"temperature": 0.7})
    header = study.run("wor", "runs").stdout.splitlines()[1]
    assert [name.strip() for name in header.split("┃")[-2:-1]] == ["temperature"]  # nothing else varies
    assert header.count("┃") == 8
    assert (study.folder / "compared" / "index.html").read_text().count("var spec") == 6
    assert study.run("git", "log", "-1", "--format=%s", "--", "experiments/iteration_001.dvc").stdout.strip()
    assert set(SET_UP) < set(commands(DOCS / "tutorial.md"))


def test_a_measure_is_one_file_and_its_line_and_is_reported_everywhere(after):
    page = DOCS / "howto" / "measure.md"
    apply(after, page)
    new = carry_out(after, page)
    assert ran(after) == {"check", "metrics", "stats", "figures", "iteration"}  # no model
    items = pd.read_csv(new / "results" / "Tiny-Random_metrics.csv")
    layers = pd.concat(pd.read_csv(path) for path in (new / "results").glob("*_layers.csv"))
    late = layers[layers["layer"] == 4].set_index("item_id")["ablation_kl"] / layers.groupby("item_id")["ablation_kl"].sum()
    assert items.set_index("item_id")["late"].to_dict() == pytest.approx(late.to_dict(), rel=1e-5)
    found = json.loads((new / "results" / "aggregate_statistics.json").read_text())["models"]["tiny"]
    for part in ("auroc", "added", "partial"):
        assert "late" in found[part]
    assert "late" in found["rivals"]["difference"]
    assert {"auroc_late", "partial_late"} <= set(found["holm"])
    assert "late" in found["spread"]["reasoning"]
    shown = after.run("wor", "results", new.name).stdout
    assert re.search(r"│ LATE +│", shown)
    assert re.search(r"REV minus .*LATE ", shown)
    old = pd.read_csv(after.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv")
    pd.testing.assert_frame_equal(items.drop(columns="late"), old)  # nothing else moved
    # An iteration from before there was the measure can still be shown and compared.
    assert "LATE" not in after.run("wor", "results", "iteration_001").stdout
    assert "AUROC of late" in after.run("wor", "compare", "iteration_001", new.name).stdout
    registered = after.folder / "prereg.yaml"
    registered.write_text(registered.read_text().replace("quantity: rival.dtr", "quantity: rival.late"))
    after.run("wor", "check")


def test_a_figure_is_one_module_and_its_line(after):
    apply(after, DOCS / "howto" / "figure.md")
    after.run("git", "add", "-A")
    after.run("git", "commit", "-qm", "Draw every measure")
    after.output = after.run("wor", "run", "--profile", "debug", "-S", "statistics.bootstrap_draws=200").stdout
    assert ran(after) == {"check", "stats", "figures", "iteration"}
    new = after.folder / "experiments" / after.iterations()[-1]
    assert {path.suffix for path in (new / "figures").glob(f"Fig4_forest__{new.name}.*")} == {".png", ".svg", ".pdf", ".json"}
    found = json.loads((new / "figures" / f"Fig4_forest__{new.name}.json").read_text())
    assert found["figure"] == "Fig4"
    assert [point["series"] for point in found["points"]][:5] == ["rev", "apl", "ape", "sib", "dtr"]
    assert "200 bootstrap draws" in found["caption"]


def test_a_dataset_is_an_entry_and_its_frozen_list(after):
    page = DOCS / "howto" / "dataset.md"
    apply(after, page)
    (shown,) = (text for language, text in blocks(page) if language == "json")
    shown = [json.loads(line) for line in shown.splitlines()]
    more = [shown[n % 2] | {"id": f"r{n + 1}", "question": f"It is day {n}. {shown[n % 2]['question']}"} for n in range(2, 12)]
    (after.folder / "data" / "local").mkdir()
    lines = "".join(f"{json.dumps(row)}\n" for row in shown + more)
    (after.folder / "data" / "local" / "riddles.jsonl").write_text(lines)
    new = carry_out(after, page)
    table = pd.read_csv(new / "results" / "Tiny-Random_riddles_metrics.csv")
    assert len(table) == 12
    assert table["rev"].notna().all()
    assert set(table["item_id"]) == {f"riddles/r{n}" for n in range(1, 13)}
    found = json.loads((new / "results" / "aggregate_statistics.json").read_text())["models"]["tiny"]
    assert found["n"]["reasoning"] == found["accuracy"]["riddles"]["n"] == 12


def test_a_model_is_an_entry(after):
    page = DOCS / "howto" / "model.md"
    apply(after, page)
    mine = after.folder / "data" / "local" / "mine"
    torch.manual_seed(8)
    LlamaForCausalLM(tiny_config(num_hidden_layers=3)).save_pretrained(mine)
    tiny_tokenizer().save_pretrained(mine)
    new = carry_out(after, page)
    found = json.loads((new / "results" / "model_results.json").read_text())
    assert list(found) == ["mine"]
    assert found["mine"]["card"]["n_layers"] == 3
    assert pd.read_csv(new / "results" / "Mine_metrics.csv")["rev"].notna().all()
    shipped = params.load_params(ROOT / "params.yaml").model_specs["smollm2-135m-instruct"]
    of_page = params.load_params(after.folder / "params.yaml").model_specs["from-a-package"]
    assert of_page == shipped.model_copy(update={"label": of_page.label})
