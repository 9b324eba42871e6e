import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from wor.statistics import logistic
from wor.statistics.logistic import Fits, fit_ridge, predict_log_odds


def study(n=70, k=6, draws=5, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(int)
    columns = rng.normal(size=(n, k)) + 0.5 * label[:, None]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    return label, columns, weights, rng.normal(size=(draws, n)) + 0.3 * label


@pytest.mark.parametrize("penalty", [0.1, 1.0, 20.0])
def test_every_samples_fit_is_scikit_learns(penalty):
    label, columns, weights, scores = study()
    ours = fit_ridge(columns, label, weights, scores, penalty)
    for draw, (times, score) in enumerate(zip(weights, scores, strict=True)):
        features = np.column_stack([columns, score])
        theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000).fit(features, label, sample_weight=times)
        assert ours[draw, 1:] == pytest.approx(theirs.coef_[0], abs=1e-5)
        assert ours[draw, 0] == pytest.approx(theirs.intercept_[0], abs=1e-5)
        log_odds = predict_log_odds(columns, ours[[draw]], score)
        assert log_odds[0] == pytest.approx(theirs.decision_function(features), abs=1e-5)


@pytest.mark.parametrize("steps", [15, 1])  # with too few, fit_ridge takes over
@pytest.mark.parametrize("separation", [0.0, 4.0])
@pytest.mark.parametrize("shared", ["nothing", "the score", "the fit"])
def test_a_score_that_is_added_gives_scikit_learns_fit_with_it(shared, separation, steps, monkeypatch):
    monkeypatch.setattr(logistic, "STEPS", steps)
    label, columns, weights, scores = study()
    columns[:, 0] += separation * label
    if shared == "the fit":
        weights = np.ones((5, 70))
    samples = weights[:1] if shared == "the fit" else weights
    scores = scores[:1] if shared == "the score" else scores
    ours = Fits.at(fit_ridge(columns, label, samples), columns, label, samples).add_score(scores)
    for draw, (times, score) in enumerate(zip(weights, np.broadcast_to(scores, (5, 70)), strict=True)):
        features = np.column_stack([columns, score])
        theirs = LogisticRegression(tol=1e-10, max_iter=5000).fit(features, label, sample_weight=times)
        assert ours[draw] == pytest.approx(np.append(theirs.intercept_, theirs.coef_[0]), abs=1e-5)


def test_no_sample_has_no_fit():
    label, columns, weights, scores = study()
    fits = Fits.at(fit_ridge(columns, label, weights[:0]), columns, label, weights[:0])
    assert fits.add_score(scores[:1]).shape == (0, 8)


def test_one_score_for_all_samples_and_none():
    label, columns, weights, scores = study()
    assert fit_ridge(columns, label, weights, scores[0]) == pytest.approx(
        fit_ridge(columns, label, weights, np.tile(scores[0], (5, 1)))
    )
    assert fit_ridge(columns, label, weights).shape == (5, 7)
    assert fit_ridge(columns, label, weights[:0]).shape == (0, 7)


def test_no_columns_give_the_log_odds_of_the_share():
    label, _, weights, _ = study()
    share = weights @ label / weights.sum(1)
    assert fit_ridge(np.zeros((70, 0)), label, weights)[:, 0] == pytest.approx(np.log(share / (1 - share)))


def test_separated_classes_have_a_finite_fit():
    label, columns, weights, _ = study()
    columns[:, 0] = 1000 * (label - 0.5)
    result = fit_ridge(columns, label, weights)
    theirs = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(columns, label, sample_weight=weights[0])
    assert np.isfinite(result).all()
    assert result[0, 1] == pytest.approx(theirs.coef_[0, 0], rel=0.02)
