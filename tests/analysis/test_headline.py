"""The study's few numbers: one model's own, several models' means."""

import pytest

from wor.analysis import headline

ONE = {"AUROC": 0.7, "dAUC": 0.1, "low": -0.1, "high": 0.3, "partial_r": 0.25, "n": 81}
TWO = {"AUROC": 0.5, "dAUC": 0.3, "low": 0.1, "high": 0.5, "partial_r": 0.75, "n": 79}


def test_one_models_headline_is_the_studys():
    assert headline.study_headline([ONE]) == ONE


def test_several_models_have_means_and_no_interval():
    result = headline.study_headline([ONE, TWO])
    assert result["AUROC"] == pytest.approx(0.6)
    assert result["dAUC"] == pytest.approx(0.2)
    assert result["partial_r"] == pytest.approx(0.5)
    assert (result["low"], result["high"], result["n"]) == (None, None, 160)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_mean_with_a_part_missing_is_missing(missing):
    assert headline.study_headline([ONE, TWO | {"dAUC": missing}])["dAUC"] is None
