import math
import re

import numpy as np
import pytest

from wor.analysis import hypotheses
from wor.config import preregistration
from wor.config.params import Rev
from wor.measures import ape, apl, apl_given_entropy, dtr, sib
from wor.measures.item_arrays import ItemArrays
from wor.measures.registry import (
    COMPONENTS,
    LABELS,
    MEANINGS,
    MEASURES,
    PUBLISHED,
    RIVALS,
    SCORES,
    compute_measures,
    seconds_per_item,
)

LAYERS, WINDOW = 6, 8


@pytest.fixture
def item():
    rng = np.random.default_rng(3)
    arrays = {
        "entropy": rng.uniform(0, 3, (LAYERS, WINDOW)),
        "entropy_no_sink": rng.uniform(0, 3, (LAYERS, WINDOW)),
        "kl": np.exp(rng.normal(-3, 1, (LAYERS, WINDOW))),
        "cosine": rng.uniform(0.9, 1, (3, LAYERS + 1)),
        "jsd": rng.uniform(0, 1, (LAYERS, WINDOW)),
        "prediction_entropy": rng.uniform(0, 3, WINDOW),
    }
    arrays["jsd"][-1] = 0
    calibration = {"kl": np.exp(rng.normal(-3, 1, (9, LAYERS, WINDOW))), "prediction_entropy": rng.uniform(0, 3, (9, WINDOW))}
    return ItemArrays(arrays, 80, np.full(LAYERS, 0.05), apl_given_entropy.fit_by_draw(calibration, np.ones((1, 9)), 1.0))


def test_each_measure_is_its_function_of_the_stored_arrays(item, settings):
    rule, arrays = settings.measures, item.arrays
    result = compute_measures(item, rule)
    assert {name: result[name] for name in SCORES[1:]} == {
        "apl": apl.apl(arrays["kl"].mean(1), item.thresholds),
        "ape": ape.ape(arrays["entropy"], 80),
        "sib": sib.sib(arrays["cosine"], LAYERS // 2),
        "dtr": dtr.dtr(arrays["jsd"], rule.dtr_g, rule.dtr_rho),
        "apl_given_entropy": apl_given_entropy.compute(item, rule),
    }
    no_sink = rule.model_copy(update={"ape": "no_sink"})
    assert compute_measures(item, no_sink)["ape"] == ape.ape(arrays["entropy_no_sink"], 80, skipped_keys=1)


def test_a_measure_without_its_material_has_no_column(item, settings):
    stored = {name: array for name, array in item.arrays.items() if name not in ("jsd", "prediction_entropy")}
    without = ItemArrays(stored, 80, item.thresholds)
    assert list(compute_measures(without, settings.measures)) == list(COMPONENTS)
    names = {measure.name for measure in PUBLISHED if set(measure.required_arrays) <= item.arrays.keys()}
    assert compute_measures(item, settings.measures).keys() == names | set(SCORES[1:])


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("ape", 1), ("entropy_slope", 1), ("apl", 11), ("sib", 101), ("dtr", 1001), ("stalt", 10001), ("rev", 111)],
)
def test_a_measure_costs_the_forward_pass_and_what_it_needs_beside(name, seconds):
    passes = {"forward": 1, "ablation": 10, "paraphrases": 100, "lens": 1000, "states": 10000}
    assert seconds_per_item(name, passes) == seconds


def test_an_item_without_a_window_has_no_measure(item, settings):
    empty = ItemArrays({name: np.full_like(array, np.nan) for name, array in item.arrays.items()}, 80, item.thresholds)
    result = compute_measures(empty, settings.measures)
    assert set(SCORES[1:]) < set(result)
    assert all(math.isnan(value) for value in result.values())


def test_every_component_has_a_sign_and_a_weight_and_every_score_a_name():
    assert set(COMPONENTS) == set(Rev.model_fields)
    assert list(LABELS)[: len(SCORES)] == SCORES
    assert len(set(SCORES)) == len(SCORES)


def test_published_measures_are_no_scores_of_the_study_itself():
    """Check that its tables, hypotheses and Holm families keep their rows: DTR was there before."""
    assert SCORES == ["rev", "apl", "ape", "sib", "dtr", "apl_given_entropy"]
    assert RIVALS == ("dtr",)
    assert {measure.name for measure in PUBLISHED} & set(SCORES) == {"dtr"}


def test_a_hypothesis_can_be_of_every_measure():
    pattern = preregistration.Hypothesis.model_json_schema()["properties"]["quantity"]["pattern"]
    for kind, names in hypotheses.NAMES.items():
        assert all(re.match(pattern, f"{kind}.{name}") for name in names)
    assert {measure.name for measure in MEASURES if not measure.variant} < set(hypotheses.NAMES["rival"])
    assert {measure.name for measure in MEASURES} < set(hypotheses.NAMES["auroc"])


def test_every_score_has_a_meaning_of_one_sentence():
    assert list(MEANINGS) == SCORES
    for name, meaning in MEANINGS.items():
        assert LABELS[name] in meaning
        assert meaning.endswith(".")
        assert len(meaning.split()) <= 25
