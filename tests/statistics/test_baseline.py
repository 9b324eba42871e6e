import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from wor.statistics import baseline, bootstrap, nulls

SETTINGS = {"folds": 5, "repeats": 5, "seed": 0}


def study(n=160, effect=0.0, confound=0.0, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(int)
    covariates = rng.normal(size=(n, 3))
    covariates[:, 0] += confound * label
    return label, covariates, rng.normal(size=n) + effect * label, np.arange(n)


def added(label, covariates, score, cluster, **changes):
    drawn = bootstrap.weights(cluster, label, 1000, seed=0)
    return baseline.added_value(label, covariates, score, cluster, drawn, **SETTINGS | changes)


def test_an_effect_adds_and_its_size_is_right():
    found = added(*study(n=1000, effect=1.0))
    # Normal scores one deviation apart: AUROC = Phi(1 / sqrt 2); the covariates know nothing.
    assert found.full.value == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.04)
    assert found.baseline.value == pytest.approx(0.5, abs=0.05)
    assert found.delta.low > 0.15
    assert found.delong.p < 1e-6
    assert found.likelihood_ratio.p < 1e-10


def test_no_effect_adds_nothing():
    deltas, p = [], []
    for seed in range(12):
        found = added(*study(seed=seed))
        deltas.append(found.delta.value)
        p.append(found.likelihood_ratio.p)
    assert abs(np.mean(deltas)) < 0.03
    assert min(p) > 0.001


def test_a_confound_is_known_to_the_baseline_already():
    label, covariates, _, cluster = study(n=400, confound=4.0)
    found = added(label, covariates, covariates[:, 0], cluster)
    assert found.baseline.value > 0.98
    assert abs(found.delta.value) < 0.01


def test_scores_are_out_of_sample():
    """With as many features as items a fit in-sample would tell the classes apart perfectly."""
    rng = np.random.default_rng(0)
    label = (np.arange(80) % 2).astype(int)
    found = [
        baseline.cross_fit(label, rng.normal(size=(80, 60)), np.arange(80), folds=5, repeats=3, seed=seed).auroc(label)
        for seed in range(6)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_a_cluster_is_never_on_both_sides():
    label, covariates, _, _ = study()
    cluster = np.arange(160) // 8
    fit = baseline.cross_fit(label, covariates, cluster, folds=5, repeats=3, seed=0)
    assert not np.isnan(fit.log_odds).any()
    for fold in fit.fold:
        for name in np.unique(cluster):
            assert len(set(fold[cluster == name])) == 1


def test_within_fold_auroc_of_a_constant_feature_is_one_half():
    label = (np.arange(60) % 2).astype(int)
    fit = baseline.cross_fit(label, np.ones((60, 1)), np.arange(60), folds=5, repeats=2, seed=0)
    assert fit.auroc(label) == 0.5  # pooled over folds it would be below: each fold's intercept leans against it


def test_likelihood_ratio_equals_statsmodels():
    label, covariates, score, _ = study(effect=0.5)
    both = np.column_stack([covariates, score])
    fits = [sm.Logit(label, sm.add_constant(features)).fit(disp=0) for features in (covariates, both)]
    found = baseline.likelihood_ratio(label, covariates, score)
    assert found.value == pytest.approx(2 * (fits[1].llf - fits[0].llf), rel=1e-4)
    assert found.p == pytest.approx(stats.chi2.sf(2 * (fits[1].llf - fits[0].llf), 1), rel=1e-3)


def test_perfect_separation_has_no_likelihood_ratio_but_a_penalised_fit():
    label, covariates, score, cluster = study()
    covariates[:, 0] = label * 10.0 + score * 0.01
    found = added(label, covariates, score, cluster)
    assert math.isnan(found.likelihood_ratio.value)
    assert "perfectly separated" in found.likelihood_ratio.reason
    assert found.baseline.value == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda label, covariates, score, cluster: (np.ones_like(label), covariates, score, cluster), "one class only"),
        (lambda label, covariates, score, cluster: (label, covariates, np.zeros(160), cluster), "constant score"),
        (lambda label, covariates, score, cluster: (label, covariates * np.nan, score, cluster), "covariates hold NaN"),
        (
            lambda label, covariates, score, cluster: (label, covariates, score, label),
            "a class has 1 clusters, fewer than 5 folds",
        ),
    ],
)
def test_undefined_is_nan_and_a_reason(change, reason):
    found = added(*change(*study()))
    for estimate in (found.baseline, found.full, found.delta, found.delong, found.likelihood_ratio):
        assert math.isnan(estimate.value)
        assert estimate.reason == reason


def test_shuffled_labels_sit_around_one_half_and_p_is_theirs():
    label, _, score, _ = study(effect=0.6)
    found = nulls.permuted_auroc(label, score, 2000, seed=0)
    assert found.value == pytest.approx(0.5, abs=0.01)
    theirs = stats.permutation_test(
        (score[label == 1], score[label == 0]),
        lambda a, b: abs(stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)) - 0.5),
        n_resamples=2000,
        vectorized=False,
        alternative="greater",
        rng=np.random.default_rng(1),
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)


def test_wording_gives_the_classes_away_when_it_differs_and_only_then():
    rng = np.random.default_rng(0)
    label = (np.arange(60) % 2).astype(int)
    words = ["tree", "house", "river", "stone", "cloud", "bread"]
    same = [" ".join(rng.choice(words, 12)) for _ in label]
    told = [f"{text} {'sum' if value else 'retell'}" for text, value in zip(same, label, strict=True)]
    drawn = bootstrap.weights(np.arange(60), label, 500, seed=0)
    clusters = np.arange(60)
    assert nulls.surface_ceiling(label, told, clusters, drawn, folds=5, seed=0).value == 1
    assert nulls.surface_ceiling(label, same, clusters, drawn, folds=5, seed=0).value < 0.75
