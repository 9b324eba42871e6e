"""What two iterations differ in, and why some of their items cannot be paired."""

import json
import math

import pandas as pd
import pytest
import yaml

from wor.iterations import compare

COMPONENTS = ["apl", "ape", "sib", "dtr"]


def folder(path, changes, items):
    (path / "results").mkdir(parents=True)
    values = {"models": ["m"], "datasets": ["a"], "model_specs": {"m": {"n": 1}}, "dataset_specs": {"a": {"n": 1}}}
    (path / "config_used.yaml").write_text(yaml.safe_dump(values | {"compute": {"threads": 1}} | changes))
    (path / "results" / "model_results.json").write_text(json.dumps({"m": {"card": {"label": "M"}}}))
    frame = pd.DataFrame(items, columns=["item_id", "token_len", "rev"])
    frame = frame.assign(dataset="a", role="reasoning", cluster=frame["item_id"], **dict.fromkeys(COMPONENTS, 0.5))
    frame.to_csv(path / "results" / "M_metrics.csv", index=False)
    return path


@pytest.fixture
def pair(tmp_path):
    first = folder(tmp_path / "iteration_001", {}, [("1", 5, 0.0), ("2", 5, 1.0), ("3", 5, 1.0), ("4", 5, 1.0), ("5", 5, None)])
    changes = {"temperature": 0.7, "dataset_specs": {"a": {"n": 1}, "unused": {"n": 9}}, "compute": {"threads": 2}}
    second = folder(
        tmp_path / "iteration_002", changes, [("1", 5, 0.5), ("2", 5, 1.0), ("3", 7, 1.0), ("5", 5, 1.0), ("6", 5, 1.0)]
    )
    return first, second


def test_each_item_that_is_left_out_has_a_reason(pair):
    row = compare.paired_differences(*pair).set_index("score").loc["rev"]
    assert row["n"] == 2
    assert math.isnan(row["value"])
    assert row["reason"] == "fewer than 5 clusters to resample (2)"
    assert compare.unpaired_items(*pair) == [
        "M, reasoning: 2 of 6 items compared; left out: 1 only in iteration_001, 1 only in iteration_002, "
        "1 another prompt length, 1 REV undefined in one or both"
    ]
    assert compare.unpaired_items(pair[0], pair[0]) == [
        "M, reasoning: 4 of 5 items compared; left out: 1 REV undefined in one or both"
    ]


def test_a_dataset_that_is_not_in_use_is_no_difference(pair):
    changed = compare.changed_parameters(*pair)
    assert changed == {"temperature": ("(not there)", 0.7), "compute.threads": (1, 2)}
