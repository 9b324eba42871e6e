"""Pages give no estimate that the tables of a published study don't have."""

import functools
import math
import re

import pandas as pd
import pytest

from tests.helpers.root import ROOT
from wor import storage
from wor.analysis.evaluation import Evaluation, auroc_by_score
from wor.iterations import registry, verify
from wor.iterations.load import Iteration
from wor.iterations.results import load_results
from wor.report import markdown, tables
from wor.report.formatting import format_estimate

PUBLISHED = registry.published_folders(ROOT / "experiments")
STUDY = ROOT / "docs" / "studies" / "2026-confirm.md"
PAGES = [ROOT / "README.md", ROOT / "docs" / "measures.md", ROOT / "docs" / "validity.md", STUDY]
SEEN = {"gsm8k": 36, "strategyqa": 36, "wiki": 54}  # of each frozen list's beginning; prereg.yaml says so
ELSEWHERE = {"0.81 [0.72, 0.87]"}  # the reliability of heads ranked on 11 items per class, from a run of its own
ESTIMATE = re.compile(r"[-+]?\d\.\d\d \[[-+]?\d\.\d\d, [-+]?\d\.\d\d\]")


def estimates(folder):
    """Return each estimate of a study's tables as a page writes it, with and without a plus."""
    names = storage.read_json(folder / "manifest.json")["files"]
    frames = [storage.read_csv(folder / name) for name in names if re.search(r"results/(statistics|.*_trial)\.csv", name)]
    rows = pd.concat(frames)[["value", "low", "high"]].dropna().to_dict("records")
    return {format_estimate(row, sign) for row in rows for sign in (False, True)}


@functools.cache
def without_seen_items():
    """Return the study's estimates without the items that the model had read before, by name."""
    study = Iteration(PUBLISHED["confirm"])
    lists = {name: storage.read_csv(ROOT / "data" / "frozen" / f"{name}.csv")["item_id"][:n] for name, n in SEEN.items()}
    items = study.items()
    rest = Evaluation(items[~items["item_id"].isin(pd.concat(lists.values()))], study.params)
    assert not rest.why_unusable
    aurocs = auroc_by_score(rest.scored, ["rev", "apl", "ape", "sib", "dtr"], rest.label, rest.weights, rest.params)
    gain = rest.full_baseline.incremental_value(rest.score("rev"), 1)
    found = {name: format_estimate(estimate) for name, estimate in aurocs.items()}
    found |= {
        "gain": format_estimate(gain.delta.as_dict(), True),
        "coefficient": format_estimate(gain.coefficient.as_dict(), True),
    }
    return found | {"n": " and ".join(f"{(rest.scored['role'] == role).sum()}" for role in ("reasoning", "control"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_estimate_of_a_page_is_in_the_tables_of_a_study_that_it_names(page):
    text = " ".join(page.read_text().split())
    names, shown = set(re.findall(r"experiments/published/([a-z0-9-]+)", text)), set(ESTIMATE.findall(text))
    assert len(shown) > 5
    if page == STUDY:
        shown -= set(without_seen_items().values())
    assert shown - ELSEWHERE - set().union(*(estimates(PUBLISHED[name]) for name in names)) == set()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_study_is_whole_and_was_registered_before_it_ran(name):
    folder = PUBLISHED[name]
    assert verify.folder_faults(folder) == []
    about, timing = (storage.read_json(folder / f"{part}.json") for part in ("env_info", "timing"))
    committed = pd.Timestamp(about["preregistration"]["committed"])
    assert committed < min(pd.Timestamp(stage["began"]) for stage in timing["stages"])
    assert math.isclose(timing["total_seconds"], sum(stage["seconds"] for stage in timing["stages"]), abs_tol=0.1)


def test_the_study_s_page_has_its_tables_whole_and_what_is_left_without_items_seen():
    text = STUDY.read_text()
    (result,) = load_results(PUBLISHED["confirm"])["models"].values()
    for table in (tables.hypotheses(result), tables.results(result), tables.trial(result), tables.datasets(result)):
        rows = [line for line in markdown.render(table).splitlines() if line.startswith("|")]
        assert rows
        assert "\n".join(rows) in text
    flowing = " ".join(text.split())
    for name, shown in without_seen_items().items():
        assert shown in flowing, name
