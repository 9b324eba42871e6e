import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from tests.helpers.cross_fits import wins, within_fold_auroc
from wor.statistics import auc, baseline, bootstrap
from wor.statistics.clusters import Clusters
from wor.statistics.logistic import fit_ridge
from wor.statistics.result import Estimate
from wor.statistics.splines import SplineDesign

SETTINGS = {"folds": 5, "repeats": 3, "seed": 0, "refit_draws": 50}


def study(n=160, effect=0.0, confound=0.0, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(int)
    covariates = rng.normal(size=(n, 3))
    covariates[:, 0] += confound * label
    return label, covariates, rng.normal(size=n) + effect * label, np.arange(n)


def fitted(label, covariates, cluster, **changes):
    return baseline.Baseline(
        label, covariates, cluster, bootstrap.cluster_weights(cluster, label, 1000, seed=0), **SETTINGS | changes
    )


def added(label, covariates, score, cluster, direction=0, **changes):
    return fitted(label, covariates, cluster, **changes).incremental_value(score, direction)


def test_an_effect_adds_and_its_size_is_right():
    result = added(*study(n=800, effect=1.0), repeats=1)
    # Normal scores one deviation apart: AUROC = Phi(1 / sqrt 2); the covariates know nothing.
    assert result.full.value == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.04)
    assert result.baseline.value == pytest.approx(0.5, abs=0.05)
    assert result.delta.low > 0.15
    assert result.delong.p < 1e-6
    assert result.likelihood_ratio.p < 1e-10


def test_no_effect_adds_nothing():
    deltas, p = [], []
    for seed in range(12):
        result = added(*study(seed=seed), repeats=2)
        deltas.append(result.delta.value)
        p.append(result.likelihood_ratio.p)
    assert abs(np.mean(deltas)) < 0.03
    assert min(p) > 0.001


def test_a_confound_is_known_to_the_baseline_already():
    label, covariates, _, cluster = study(n=400, confound=4.0)
    result = added(label, covariates, covariates[:, 0], cluster)
    assert result.baseline.value > 0.98
    assert abs(result.delta.value) < 0.01


def test_scores_are_out_of_sample():
    """With as many features as items a fit in-sample would tell the classes apart perfectly."""
    rng = np.random.default_rng(0)
    label = (np.arange(80) % 2).astype(int)
    result = [
        within_fold_auroc(
            baseline.cross_fit(label, rng.normal(size=(80, 60)), baseline.make_splits(label, np.arange(80), 5, 3, seed)), label
        )
        for seed in range(6)
    ]
    assert np.mean(result) == pytest.approx(0.5, abs=0.08)


def test_a_cluster_is_never_on_both_sides():
    label, covariates, _, _ = study()
    cluster = np.arange(160) // 8
    fit = baseline.cross_fit(label, covariates, baseline.make_splits(label, cluster, 5, 3, 0))
    assert not np.isnan(fit.log_odds).any()
    for fold in fit.fold:
        for name in np.unique(cluster):
            assert len(set(fold[cluster == name])) == 1


def test_within_fold_auroc_of_a_constant_feature_is_one_half():
    label = (np.arange(60) % 2).astype(int)
    fit = baseline.cross_fit(label, np.ones((60, 1)), baseline.make_splits(label, np.arange(60), 5, 2, 0))
    # Pooled over folds it would be below 0.5, as each fold's intercept leans against it.
    assert within_fold_auroc(fit, label) == 0.5


def test_likelihood_ratio_equals_statsmodels():
    label, covariates, score, _ = study(effect=0.5)
    both = np.column_stack([covariates, score])
    fits = [sm.Logit(label, sm.add_constant(features)).fit(disp=0) for features in (covariates, both)]
    result = baseline.likelihood_ratio(label, covariates, score)
    assert result.value == pytest.approx(2 * (fits[1].llf - fits[0].llf), rel=1e-4)
    assert result.p == pytest.approx(stats.chi2.sf(2 * (fits[1].llf - fits[0].llf), 1), rel=1e-3)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("repeat", [0, 1])
def test_log_odds_are_those_of_sklearns_cross_validation(repeat, size):
    """With clusters of one item, its folds are those of items."""
    label, covariates, score, _ = study(effect=0.5)
    features, cluster = np.column_stack([covariates, score]), np.arange(160) // (2 * size) * 2 + label
    assert (np.unique(cluster, return_counts=True)[1] == size).all()
    fit = baseline.cross_fit(label, features, baseline.make_splits(label, cluster, 5, 2, 3))
    splitter = (StratifiedKFold if size == 1 else StratifiedGroupKFold)(5, shuffle=True, random_state=3 + repeat)
    groups = cluster if size > 1 else None
    theirs = cross_val_predict(baseline.ridge_logistic(), features, label, groups=groups, cv=splitter, method="decision_function")
    assert fit.log_odds[repeat] == pytest.approx(theirs)
    for index, (_, test) in enumerate(splitter.split(features, label, groups)):
        assert (fit.fold[repeat, test] == index).all()


def test_auroc_is_sklearns_within_folds_weighted_by_their_pairs():
    label, covariates, score, cluster = study(effect=0.5)
    fit = baseline.cross_fit(label, np.column_stack([covariates, score]), baseline.make_splits(label, cluster, 5, 3, 0))
    won = counts = 0.0
    for log_odds, fold in zip(fit.log_odds, fit.fold, strict=True):
        for name in range(5):
            rows = fold == name
            pairs = label[rows].sum() * (1 - label[rows]).sum()
            won, counts = won + pairs * roc_auc_score(label[rows], log_odds[rows]), counts + pairs
    assert fit.auroc(label) == pytest.approx(won / counts) == pytest.approx(within_fold_auroc(fit, label))


def test_pairs_of_a_fold_without_both_classes_to_learn_from_do_not_count():
    """All positives are in one cluster: the fold that tests it has no fit, and no pairs count."""
    label = np.repeat([1, 0], [20, 80])
    cluster = np.r_[np.zeros(40, int), 1 + np.arange(60) % 6]
    fit = baseline.cross_fit(label, np.random.default_rng(0).normal(size=(100, 2)), baseline.make_splits(label, cluster, 2, 1, 0))
    unfitted = fit.fold[0] == -1
    assert unfitted[cluster == 0].all()
    assert 0 < (~unfitted).sum() < 80
    assert np.isnan(fit.log_odds[0, unfitted]).all()
    assert np.isfinite(fit.log_odds[0, ~unfitted]).all()
    assert fit.pairs_by_repeat(label).tolist() == [[0, 0]]
    assert math.isnan(fit.auroc(label))
    assert np.isnan(fit.resampled_auroc(label, np.ones((3, 100)))).all()


def splined(features, score, repeats=2, folds=4, cluster=None, label=None):
    """Return scikit-learn's cross-fit of each split's own splines and the score."""
    log_odds, fold_of = np.full((repeats, len(label)), np.nan), np.full((repeats, len(label)), -1)
    for repeat, split in enumerate(baseline.make_splits(label, cluster, folds, repeats, 0)):
        for index, (train, test) in enumerate(split):
            columns = SplineDesign.fit(features[train]).columns(features)
            if score is not None:
                columns = np.column_stack([columns, (score - score[train].mean()) / score[train].std()])
            fit = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(columns[train], label[train])
            log_odds[repeat, test] = fit.decision_function(columns[test])
            fold_of[repeat, test] = index
    return baseline.CrossFit(log_odds, fold_of)


def test_without_refits_the_interval_is_that_of_items_drawn_again_with_the_fits_as_they_are():
    label, covariates, score, _ = study(n=80, effect=0.7)
    cluster = np.arange(80) // 4 * 2 + label  # two items per cluster
    weights = bootstrap.cluster_weights(cluster, label, 60, seed=1)
    result = baseline.Baseline(label, covariates, cluster, weights, 4, 2, 0)
    fits = [splined(covariates, rows, cluster=cluster, label=label) for rows in (None, score)]
    changes = []
    for times in weights:
        again = np.repeat(np.arange(80), times.astype(int))
        before, after = (
            within_fold_auroc(baseline.CrossFit(fit.log_odds[:, again], fit.fold[:, again]), label[again]) for fit in fits
        )
        changes.append(after - before)
    delta, fit = result.delta(score)
    full = result.incremental_value(score).full
    assert delta.value == pytest.approx(within_fold_auroc(fits[1], label) - within_fold_auroc(fits[0], label))
    expected = bootstrap.percentile_interval(np.array(changes), 0.95, result.clusters)
    assert (delta.low, delta.high) == pytest.approx(expected, abs=1e-6)
    assert full.value == pytest.approx(within_fold_auroc(fits[1], label))
    assert fit.log_odds == pytest.approx(fits[1].log_odds, abs=1e-4)


def test_each_draw_refits_all_folds_as_scikit_learn_does():
    label, covariates, score, _ = study(n=80, effect=0.7)
    cluster = np.arange(80) // 4 * 2 + label
    weights = bootstrap.cluster_weights(cluster, label, 30, seed=1)
    result = baseline.Baseline(label, covariates, cluster, weights, 4, 3, 0, refit_draws=30)
    splits = baseline.make_splits(label, cluster, 4, 3, 0)
    gains = np.zeros((baseline.REFIT_REPEATS, 30))
    for row, split in enumerate(splits[: baseline.REFIT_REPEATS]):
        for draw, times in enumerate(weights):
            won, counts = np.zeros(2), 0.0
            for train, test in split:
                columns = SplineDesign.fit(covariates[train]).columns(covariates)
                scaled = (score - score[train].mean()) / score[train].std()
                pairs = times[test][label[test] == 1][:, None] * times[test][label[test] == 0][None]
                counts += pairs.sum()
                for index, rows in enumerate((columns, np.column_stack([columns, scaled]))):
                    fit = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)
                    fit.fit(rows[train], label[train], sample_weight=times[train])
                    won[index] += (wins(label[test], fit.decision_function(rows[test])) * pairs).sum()
            gains[row, draw] = (won[1] - won[0]) / counts
    # The variance over draws, less that over splits; then that of the mean over three splits.
    within = gains.var(0, ddof=1).mean()
    error = math.sqrt(gains.mean(0).var(ddof=1) - within / 2 + within / 3)
    delta = result.delta(score)[0]
    assert (delta.high - delta.low) / 2 == pytest.approx(result.clusters.quantile(0.95) * error, rel=0.01)
    assert (delta.high + delta.low) / 2 == pytest.approx(delta.value)


def test_scores_that_are_fitted_together_are_as_one_by_one():
    label, covariates, score, cluster = study(effect=0.5)
    rng, rows = np.random.default_rng(7), [score, -score]
    rows += [rng.normal(size=160), np.full(160, math.nan), 1e3 * covariates[:, 0] + 1]
    directions = [1, 1, 0, 1, -1]
    together = fitted(label, covariates, cluster, repeats=2)
    together.prepare(rows, directions)
    for values, direction in zip(rows, directions, strict=True):
        delta, fit = together.delta(values, direction)
        alone, own_fit = fitted(label, covariates, cluster, repeats=2).delta(values, direction)
        assert (delta.value, delta.low, delta.high) == pytest.approx((alone.value, alone.low, alone.high), nan_ok=True)
        assert delta.reason == alone.reason
        assert fit is None or fit.log_odds == pytest.approx(own_fit.log_odds, abs=1e-5)


def test_one_baseline_serves_every_score():
    label, covariates, score, cluster = study(effect=0.5)
    shared = fitted(label, covariates, cluster, repeats=2)
    first, second = shared.incremental_value(score), shared.incremental_value(score**3)
    assert repr(first) == repr(added(label, covariates, score, cluster, repeats=2))  # NaN is not equal to itself
    assert repr(first.baseline) == repr(second.baseline) == repr(shared.estimate())
    assert first.delta.value == pytest.approx(first.full.value - first.baseline.value)
    pooled = [fit.log_odds.mean(0) for fit in (shared.delta(score)[1], shared.fit)]
    assert first.delong == auc.delong_difference(label, *pooled)


@pytest.mark.parametrize("n", [80, 400])
def test_the_square_of_a_covariate_adds_nothing(n):
    """A covariate's spread tells the classes apart. A linear fit sees none of it: it gave +0.4."""
    rng = np.random.default_rng(0)
    label = (np.arange(n) % 2).astype(int)
    covariates = rng.normal(size=(n, 2))
    covariates[:, 0] *= np.where(label == 1, 5.0, 0.7)
    score = covariates[:, 0] ** 2
    linear = [
        within_fold_auroc(baseline.cross_fit(label, rows, baseline.make_splits(label, np.arange(n), 5, 3, 0)), label)
        for rows in (covariates, np.column_stack([covariates, score]))
    ]
    assert linear[1] - linear[0] > 0.3
    result = added(label, covariates, score, np.arange(n), direction=1)
    assert result.baseline.value > 0.8
    assert result.delta.low <= 0 <= result.delta.high
    assert abs(result.delta.value) < 0.03
    assert result.coefficient.p > 0.025


def test_a_reversed_effect_gains_nothing_where_the_coefficient_is_bounded():
    label, covariates, score, cluster = study(n=240, effect=-1.0)
    result = added(label, covariates, score, cluster, direction=1)
    assert (result.delta.value, result.delta.low, result.delta.high) == (0, 0, 0)
    assert result.full.value == result.baseline.value
    assert result.unbounded.low > 0.05
    assert result.coefficient.p > 0.999
    turned = added(label, covariates, score, cluster, direction=-1)
    assert turned.delta.value == pytest.approx(turned.unbounded.value)
    assert turned.coefficient.p < 0.001
    assert turned.coefficient.value == result.coefficient.value


def test_the_coefficient_and_its_error_are_statsmodels_where_the_penalty_is_weak():
    label, covariates, score, cluster = study(n=2000, effect=0.4)
    result = fitted(label, covariates, cluster, refit_draws=400).coefficient(score)
    columns = SplineDesign.fit(covariates).columns(covariates)
    theirs = sm.Logit(label, sm.add_constant(np.column_stack([columns, score / score.std()]))).fit(disp=0)
    assert result.value == pytest.approx(theirs.params[-1], rel=0.05)  # one step falls a little short
    assert (result.high - result.low) / 2 / 1.96 == pytest.approx(theirs.bse[-1], rel=0.12)
    assert result.p < 1e-6


def test_a_score_that_leans_on_a_covariate_is_not_taken_for_an_effect():
    """A plain ridge coefficient is: what the penalty holds back of the covariate goes to it."""
    p, plain = [], []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        label = (np.arange(80) % 2).astype(int)
        covariates = rng.normal(size=(80, 6))
        covariates[:, 0] += 1.5 * label
        score = covariates[:, 0] + rng.normal(size=80)
        p.append(fitted(label, covariates, np.arange(80)).coefficient(score, direction=1).p)
        columns = SplineDesign.fit(covariates).columns(covariates)
        plain.append(fit_ridge(columns, label, np.ones((1, 80)), (score - score.mean()) / score.std())[0, -1])
    assert np.mean(plain) > 0.2
    assert np.mean(p) == pytest.approx(0.5, abs=0.25)
    assert min(p) > 0.005


def test_scores_that_vary_with_the_draws_widen_the_interval():
    label, covariates, score, cluster = study(effect=0.7)
    shared = fitted(label, covariates, cluster)
    same = np.tile(score, (50, 1))
    assert repr(shared.incremental_value(score, 1, score_draws=same)) == repr(shared.incremental_value(score, 1))
    noise = np.random.default_rng(0).normal(size=(50, 1)) * label  # shifts one class against the other
    joint, plain = (shared.incremental_value(score, 1, score_draws=rows) for rows in (same + noise, same))
    for part in ("delta", "coefficient"):
        wide, narrow = (getattr(result, part) for result in (joint, plain))
        assert wide.value == narrow.value
        assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


@pytest.mark.parametrize(("value", "error"), [(0.01, 0.01), (-0.03, 0.02), (0.2, 0.01), (0.0, 0.05)])
def test_two_one_sided_tests_agree_with_their_interval(value, error):
    clusters = Clusters((40, 40))
    half = clusters.quantile(0.95) * error
    result = baseline.equivalence(Estimate(value, value - half, value + half, n=80), 0.05, clusters)
    assert (result.p < 0.05) == (result.low > -0.05 and result.high < 0.05)
    scaled = error * clusters.expansion
    p = [stats.t.sf((0.05 - side * value) / scaled, clusters.freedom) for side in (1, -1)]
    assert result.p == pytest.approx(max(p))


def test_the_bayes_factor_is_that_of_statsmodels_bic():
    label, covariates, score, _ = study(n=1000, effect=0.12)
    fits = [sm.Logit(label, sm.add_constant(rows)).fit(disp=0) for rows in (covariates, np.column_stack([covariates, score]))]
    theirs = (fits[1].bic - fits[0].bic) / 2
    ratio = fits[1].params[-1] / fits[1].bse[-1]
    assert math.log(baseline.bayes_factor(ratio, 1000)) == pytest.approx(theirs, abs=0.1)


@pytest.mark.parametrize("ratio", [-2.0, 0.0, 0.7, 3.0])
def test_a_two_sided_effect_is_the_mean_of_both_directions(ratio):
    both, up, down = (1 / baseline.bayes_factor(ratio, 50, direction) for direction in (0, 1, -1))
    assert both == pytest.approx((up + down) / 2)


def test_near_copies_of_a_column_are_not_taken_for_separation():
    label, covariates, score, _ = study(effect=0.5)
    truth = baseline.likelihood_ratio(label, covariates, score)
    for distance in (1e-2, 1e-4, 1e-6):
        result = baseline.likelihood_ratio(label, covariates, covariates[:, 0] + distance * score)
        assert result.value == pytest.approx(truth.value, rel=1e-5)


def test_constant_covariates_are_no_covariates():
    label, _, score, cluster = study(effect=0.5)
    result = added(label, np.ones((160, 2)), score, cluster)
    alone = sm.Logit(label, sm.add_constant(score)).fit(disp=0)
    assert result.baseline.value == 0.5
    assert result.likelihood_ratio.value == pytest.approx(alone.llr)
    assert result.likelihood_ratio.p == pytest.approx(alone.llr_pvalue)


def test_a_score_that_the_covariates_hold_already_adds_nothing():
    label, covariates, _, _ = study(confound=1.0)
    result = baseline.likelihood_ratio(label, covariates, covariates.sum(1))
    assert (result.value, result.p) == pytest.approx((0, 1), abs=1e-4)


def test_perfect_separation_has_no_likelihood_ratio_but_a_penalised_fit_and_a_note():
    label, covariates, score, cluster = study()
    assert added(label, covariates, score, cluster).baseline.note == ""
    covariates[:, 0] = label * 10.0 + score * 0.01
    result = added(label, covariates, score, cluster)
    assert np.isnan([result.likelihood_ratio.value, result.likelihood_ratio.p]).all()
    assert "perfectly separated" in result.likelihood_ratio.reason
    assert result.baseline.value == 1
    assert result.delta.note == baseline.SEPARATED
    assert result.baseline.note.endswith(baseline.SEPARATED)


def test_a_score_that_separates_the_classes_has_no_likelihood_ratio_either():
    label, covariates, score, cluster = study()
    result = added(label, covariates, score + 100 * label, cluster)
    assert math.isnan(result.likelihood_ratio.value)
    assert "perfectly separated" in result.likelihood_ratio.reason
    assert result.full.value > 0.99
    assert result.baseline.note == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda label, covariates, score, cluster: (np.ones_like(label), covariates, score, cluster), "one class only"),
        (lambda label, covariates, score, cluster: (label, covariates * np.nan, score, cluster), "covariates hold NaN"),
        (
            lambda label, covariates, score, cluster: (label, np.where(covariates > 2, np.nan, covariates), score, cluster),
            "covariates hold NaN",
        ),
        (
            lambda label, covariates, score, cluster: (label, covariates, score, cluster // 54 * 2 + label),
            "a class has 3 clusters, fewer than 5 folds",
        ),
        (
            lambda *parts: tuple(part[:19] for part in parts),
            "fewer than 10 items in a class (9 positive, 10 negative)",
        ),
        (lambda *parts: tuple(part[:0] for part in parts), "no items"),
    ],
)
def test_without_a_baseline_everything_is_nan_and_a_reason(change, reason):
    result = added(*change(*study()))
    for estimate in vars(result).values():
        assert np.isnan([estimate.value, estimate.low, estimate.high, estimate.p]).all()
        assert estimate.reason == reason


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (np.zeros(160), "constant score"),
        (np.full(160, np.nan), "every score is NaN"),
        (np.where(np.arange(160) == 5, np.nan, np.arange(160.0)), "scores hold NaN"),
    ],
)
def test_a_score_that_is_none_leaves_the_baseline_as_it_is(score, reason):
    label, covariates, _, cluster = study()
    result = added(label, covariates, score, cluster)
    assert repr(result.baseline) == repr(fitted(label, covariates, cluster).estimate())
    assert 0 < result.baseline.value < 1
    for estimate in [estimate for part, estimate in vars(result).items() if part != "baseline"]:
        assert np.isnan([estimate.value, estimate.low, estimate.high, estimate.p]).all()
        assert estimate.reason == reason
    assert fitted(label, covariates, cluster).delta(score)[1] is None
