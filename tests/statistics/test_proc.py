"""Comparison with pROC (Robin et al. 2011) on its aSAH data.

These are 113 patients with a subarachnoid haemorrhage and a poor or a good outcome. proc.R runs
pROC and proc.json has its results, so that the comparison runs without R too.
"""

import itertools
import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

from tests.helpers.root import ROOT
from wor.statistics import auc, power

FOLDER = ROOT / "tests" / "statistics"
STORED = json.loads((FOLDER / "proc.json").read_text())
COLUMNS = {name: np.array(values) for name, values in STORED["columns"].items()}
POOR, FEMALE = COLUMNS["poor"], COLUMNS["female"] == 1
# proc.json has 15 digits; what is left is the order of additions.
EXACT = {"rel": 1e-9, "abs": 1e-12}


def missing() -> bool:
    if not shutil.which("Rscript"):
        return True
    return subprocess.run(["Rscript", "-e", "quit(status = !requireNamespace('pROC', quietly = TRUE))"]).returncode != 0


@pytest.mark.skipif(missing(), reason="R with pROC is not installed: apt-get install r-cran-proc")
def test_the_stored_answers_are_what_proc_gives_now():
    now = json.loads(subprocess.run(["Rscript", FOLDER / "proc.R"], check=True, capture_output=True, text=True).stdout)
    stored = dict(STORED)
    assert now.pop("made_by").keys() == stored.pop("made_by").keys()  # versions may differ
    assert now.keys() == stored.keys()
    assert now["columns"] == stored.pop("columns")
    for part, rows in stored.items():
        assert len(now[part]) == len(rows) > 0
        for result, row in zip(now[part], rows, strict=True):
            assert result.keys() == row.keys()
            for name, value in row.items():
                assert result[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-9)), name


def test_the_stored_data_are_asah():
    """pROC's summary of them: 113 patients (Turck et al. 2010), 41 with a poor outcome; 42 men."""
    assert (len(POOR), POOR.sum(), (~FEMALE).sum()) == (113, 41, 42)
    assert len(set(COLUMNS["wfns"])) == 5  # five grades: many ties


@pytest.mark.parametrize("theirs", STORED["single"], ids=lambda row: row["marker"])
def test_auroc_variance_and_interval(theirs):
    score = COLUMNS[theirs["marker"]]
    (value,), ((variance,),) = auc.covariance(POOR, score[None])
    assert (value, variance) == pytest.approx((theirs["auc"], theirs["variance"]), **EXACT)
    result = auc.delong(POOR, score)
    assert (result.value, result.low, result.high) == pytest.approx((theirs["auc"], theirs["low"], theirs["high"]), **EXACT)


@pytest.mark.parametrize("theirs", STORED["paired"], ids=lambda row: f"{row['first']}-{row['second']}")
def test_paired_test(theirs):
    result = auc.delong_difference(POOR, COLUMNS[theirs["first"]], COLUMNS[theirs["second"]])
    error = (result.high - result.low) / 2 / stats.norm.ppf(0.975)
    assert result.value / error == pytest.approx(theirs["z"], **EXACT)
    assert result.p == pytest.approx(theirs["p"], **EXACT)


def test_every_pair_of_markers_is_there():
    markers = [row["marker"] for row in STORED["single"]]
    assert [(row["first"], row["second"]) for row in STORED["paired"]] == list(itertools.combinations(markers, 2))


def test_power_is_procs():
    """Both use the formula of Obuchowski & McClish 1997, two-sided at the same level.

    pROC writes 1.414 for the square root of 2. So its quantile is off by 1.5e-4 of itself, and its
    variance by up to 1e-3. Nothing else differs.
    """
    assert len(STORED["power"]) == 24
    for theirs in STORED["power"]:
        ours = power.auroc_power(theirs["auc"], theirs["ncases"], theirs["ncontrols"], theirs["sig.level"])
        assert ours == pytest.approx(theirs["power"], abs=2e-4), theirs
    for theirs in STORED["detectable"]:
        ours = power.detectable_auroc(theirs["ncases"], theirs["ncontrols"], theirs["power"])
        assert ours == pytest.approx(theirs["auc"], abs=2e-4), theirs


@pytest.mark.parametrize("theirs", [row for row in STORED["power"] if row["auc"] == 0.7], ids=str)
def test_with_procs_root_of_two_power_is_procs_to_the_last_digit(theirs, monkeypatch):
    class Rounded:
        exp = staticmethod(math.exp)

        @staticmethod
        def sqrt(value):
            return 1.414 if value == 2 else math.sqrt(value)

    monkeypatch.setattr(power, "math", Rounded)
    ours = power.auroc_power(theirs["auc"], theirs["ncases"], theirs["ncontrols"], theirs["sig.level"])
    assert ours == pytest.approx(theirs["power"], rel=1e-9)
