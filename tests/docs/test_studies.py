"""Pages give no estimate that the tables of a published study don't have."""

import math
import re

import pandas as pd
import pytest

from tests.helpers.root import ROOT
from wor import storage
from wor.iterations import registry, verify
from wor.report.formatting import format_estimate

PUBLISHED = registry.published_folders(ROOT / "experiments")
PAGES = [ROOT / "README.md", ROOT / "docs" / "measures.md", ROOT / "docs" / "validity.md"]
ELSEWHERE = {"0.81 [0.72, 0.87]"}  # the reliability of heads ranked on 11 items per class, from a run of its own
ESTIMATE = re.compile(r"[-+]?\d\.\d\d \[[-+]?\d\.\d\d, [-+]?\d\.\d\d\]")


def estimates(folder):
    """Return each estimate of a study's tables as a page writes it, with and without a plus."""
    names = storage.read_json(folder / "manifest.json")["files"]
    frames = [storage.read_csv(folder / name) for name in names if re.search(r"results/(statistics|.*_trial)\.csv", name)]
    rows = pd.concat(frames)[["value", "low", "high"]].dropna().to_dict("records")
    return {format_estimate(row, sign) for row in rows for sign in (False, True)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_estimate_of_a_page_is_in_the_tables_of_a_study_that_it_names(page):
    text = " ".join(page.read_text().split())
    names, shown = set(re.findall(r"experiments/published/([a-z0-9-]+)", text)), set(ESTIMATE.findall(text))
    assert len(shown) > 5
    assert shown - ELSEWHERE - set().union(*(estimates(PUBLISHED[name]) for name in names)) == set()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_study_is_whole_and_was_registered_before_it_ran(name):
    folder = PUBLISHED[name]
    assert verify.folder_faults(folder) == []
    about, timing = (storage.read_json(folder / f"{part}.json") for part in ("env_info", "timing"))
    committed = pd.Timestamp(about["preregistration"]["committed"])
    assert committed < min(pd.Timestamp(stage["began"]) for stage in timing["stages"])
    assert math.isclose(timing["total_seconds"], sum(stage["seconds"] for stage in timing["stages"]), abs_tol=0.1)
