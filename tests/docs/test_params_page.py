"""docs/params.md is what the schema and dvc.yaml give, and leaves nothing out."""

import re

import pytest
import yaml

from docs import params_page
from tests.helpers.root import ROOT
from wor.config.overrides import flatten

PAGE = (ROOT / "docs" / "params.md").read_text()
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())


def test_the_page_is_what_the_schema_gives():
    assert params_page.render_page(PIPELINE) == PAGE, "python docs/params_page.py writes it"


def test_every_key_of_the_shipped_parameters_has_a_row(values):
    rows = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)
    for key, _ in flatten(values):
        plain = re.sub(r"^(\w+_specs)\.[^.]+", r"\1.NAME", key)
        plain = re.sub(r"^(criteria\.delta_auc)\.\d+$", r"\1", plain)
        assert plain in rows, key


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        # test_pipeline_tiny.py sees DVC do so.
        ("temperature", ["activations", "nulls", "designs", "metrics", "stats", "figures"]),
        ("statistics.confidence", ["stats", "figures"]),
        ("nulls.n", ["nulls", "metrics", "stats", "figures"]),
        ("compute.threads", []),
        ("dataset_specs.wiki.n", [name for name in PIPELINE["stages"] if name not in ("check", "models", "iteration")]),
        ("model_specs.NAME.path", [name for name in PIPELINE["stages"] if name not in ("check", "iteration")]),
    ],
)
def test_what_reruns_is_what_names_the_key_and_what_reads_what_that_writes(key, stages):
    assert params_page.stages_rerun_by(key, PIPELINE) == stages
