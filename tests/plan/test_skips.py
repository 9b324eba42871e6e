"""Check the stages that DVC is expected to have against what `dvc exp run` then runs."""

import json
import sys

import pytest

pytestmark = pytest.mark.dvc

CACHED = """
import json, sys
from wor.config import overrides
from wor.plan import skips
print(json.dumps(skips.cached_stages(overrides.parse_settings(sys.argv[1:]))))
"""


def expected(study, *settings: str) -> set[str]:
    study.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what Python writes beside the code is no dependency
    cached = json.loads(study.run(sys.executable, "-c", CACHED, *settings).stdout.splitlines()[-1])
    return {stage for stage, is_cached in cached.items() if not is_cached}


def test_what_is_expected_to_run_is_what_runs(study):
    before = study.run("git", "status", "--short").stdout
    assert expected(study) == {"check"}
    assert expected(study, "heads.n_test=1") == {"check", "heads@tiny", "stats", "figures", "iteration"}
    for setting in ("temperature=0.7", "rev.apl.weight=2.0"):
        foreseen = expected(study, setting)
        assert study.run("git", "status", "--short").stdout == before  # it works in a copy
        ran = set(study.experiment(setting))
        assert foreseen == ran | {"iteration"}
        assert expected(study, setting) <= {"check", "iteration"}  # now DVC has it
        study.run("git", "checkout", "params.yaml")
        before = study.run("git", "status", "--short").stdout
    # An earlier run's results come from DVC's run cache, whatever was run since.
    assert expected(study, "temperature=0.7") <= {"check", "iteration"}


def test_a_stage_after_one_that_is_new_counts_as_new(study):
    """The items of the remaining datasets are unchanged. The reference reads all of them."""
    foreseen = expected(study, "datasets=[gsm-symbolic,wiki]")
    assert {"ids", "reference@tiny", "activations@tiny-gsm-symbolic", "stats"} <= foreseen
    assert "models@tiny" not in foreseen
    assert not any("syllogism" in stage for stage in foreseen)
