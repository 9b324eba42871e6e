import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from statsmodels.api import OLS

from wor.statistics import auc, bootstrap, nulls


def study(n=160, effect=0.6, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(int)
    return label, rng.normal(size=n) + effect * label


def test_the_ratio_is_brunner_and_munzels_and_its_error_delongs():
    for decimals in (0, 8):
        label, score = study(n=50)
        score = np.round(score, decimals)
        (value,), (ratio,) = nulls.studentised_aurocs(label[None], score, np.arange(50))
        theirs = stats.brunnermunzel(score[label == 0], score[label == 1])
        assert ratio == pytest.approx(theirs.statistic)
        (auroc,), ((variance,),) = auc.covariance(label, score[None])
        assert (value, (value - 0.5) / ratio) == pytest.approx((auroc, math.sqrt(variance)))


def test_the_error_of_clusters_is_that_of_clustered_regressions_on_a_constant():
    """statsmodels' sandwich, with clusters, of the mean placement of each class."""
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(16), rng.integers(1, 6, 16))
    label = (cluster < 7).astype(int)
    score = np.round(rng.normal(size=16)[cluster] + rng.normal(size=len(cluster)), 1)
    (value,), (ratio,) = nulls.studentised_aurocs(label[None], score, cluster)
    variance = 0.0
    for placements, group in zip(auc.placements(label, score), (1, 0), strict=True):
        rows = OLS(placements, np.ones(len(placements)))
        variance += rows.fit(cov_type="cluster", cov_kwds={"groups": cluster[label == group]}).bse[0] ** 2
    assert (value - 0.5) / ratio == pytest.approx(math.sqrt(variance))


def test_perfect_separation_is_as_far_as_can_be():
    label = np.repeat([1, 0], 6)
    _, ratios = nulls.studentised_aurocs(np.stack([label, 1 - label]), np.arange(12.0), np.arange(12))
    assert list(ratios) == [-math.inf, math.inf]


def test_shuffled_labels_sit_around_one_half_and_p_is_scipys():
    label, score = study(effect=0.2)
    result = nulls.permuted_auroc(label, score, np.arange(160), 4000, seed=0)
    assert result.value == pytest.approx(0.5, abs=0.005)
    assert result.n == 160
    theirs = stats.permutation_test(
        (score[label == 1], score[label == 0]),
        lambda a, b, axis: np.abs(stats.brunnermunzel(a, b, axis=axis).statistic),
        n_resamples=2000,
        alternative="greater",
        rng=np.random.default_rng(1),
    )
    assert 0.005 < theirs.pvalue < 0.5  # where the two could differ
    assert result.p == pytest.approx(theirs.pvalue, abs=0.03)
    middle = 1.96 * math.sqrt(161 / 12) / 80  # of Mann and Whitney's U / (80 x 80)
    assert (result.low, result.high) == pytest.approx((0.5 - middle, 0.5 + middle), abs=0.01)


def test_whole_clusters_swap_classes():
    """Against every way there is: 5 of 10 clusters of unequal size take the positive class."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(10), [3, 1, 4, 2, 5, 2, 3, 4, 1, 6])
    label = (cluster < 5).astype(int)
    score = rng.normal(size=10)[cluster] + 0.1 * rng.normal(size=len(cluster)) + 0.4 * label
    labels = [np.isin(cluster, positives).astype(int) for positives in itertools.combinations(range(10), 5)]
    every = [auc.auroc(shuffled, score) for shuffled in labels]
    _, ratios = nulls.studentised_aurocs(np.stack([label, *labels]), score, cluster)
    exact = np.mean(np.abs(ratios[1:]) >= abs(ratios[0]) - 1e-9)
    result = nulls.permuted_auroc(label, score, cluster, 6000, seed=0)
    assert result.p == pytest.approx(exact, abs=0.02)
    assert result.value == pytest.approx(np.mean(every), abs=0.01)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(every, [0.025, 0.975])), abs=0.02)
    # As if all items were independent, much less would seem to be chance.
    assert nulls.permuted_auroc(label, score, np.arange(len(label)), 6000, seed=0).p < exact / 2


def test_its_rejections_are_as_many_as_claimed_where_spread_number_and_cluster_sizes_differ():
    """Not studentised it rejected 19, 15 and 9 % here."""
    for positives, negatives, size, spread in ((10, 40, (1, 1), 3.0), (40, 10, (4, 1), 1.0), (30, 10, (1, 1), 1 / 3)):
        cluster = np.repeat(np.arange(positives + negatives), np.repeat(size, (positives, negatives)))
        label, p = (cluster < positives).astype(int), []
        for seed in range(300):
            rng = np.random.default_rng(seed)
            noise = rng.normal(size=positives + negatives)[cluster] + rng.normal(size=len(cluster))
            score = noise * np.where(label == 1, spread, 1)
            p.append(nulls.permuted_auroc(label, score, cluster, 99, seed).p)
        assert (np.array(p) <= 0.05).mean() < 0.085


def test_p_is_never_0_and_the_seed_decides():
    label, score = study(effect=9)
    result = [nulls.permuted_auroc(label, score, np.arange(160), 99, seed) for seed in (3, 3, 4)]
    assert result[0].p == 1 / 100
    assert result[0] == result[1] != result[2]


def test_a_cluster_of_both_classes_has_none_to_swap():
    label, score = study()
    result = nulls.permuted_auroc(label, score, np.arange(160) // 2, 99, seed=0)
    assert np.isnan([result.value, result.p]).all()
    assert "both classes" in result.reason


def test_wording_gives_the_classes_away_when_it_differs_and_only_then():
    rng = np.random.default_rng(0)
    label = (np.arange(60) % 2).astype(int)
    words = ["tree", "house", "river", "stone", "cloud", "bread"]
    same = [" ".join(rng.choice(words, 12)) for _ in label]
    different = [f"{text} {'sum' if value else 'retell'}" for text, value in zip(same, label, strict=True)]
    weights = bootstrap.cluster_weights(np.arange(60), label, 500, seed=0)
    clusters = np.arange(60)
    assert nulls.bag_of_words_auroc(label, different, clusters, weights, folds=5, seed=0).value == 1
    result = nulls.bag_of_words_auroc(label, same, clusters, weights, folds=5, seed=0)
    assert result.low < 0.5
    assert result.value < 0.75


def test_words_are_those_of_the_training_texts_as_if_they_alone_had_been_counted():
    rng, label = np.random.default_rng(3), np.arange(60) % 2
    texts = [" ".join([*rng.choice(list("abcdefgh"), 9), f"word{rng.integers(90)}", "it it"]).replace(" ", "x ") for _ in label]
    fit = nulls.fit_words(label, texts, np.arange(60), folds=5, repeats=1, seed=2)
    rows = np.array(texts, object)
    for index in range(5):
        test = fit.fold[0] == index
        theirs = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000))
        theirs.fit(rows[~test], label[~test])
        assert fit.log_odds[0, test] == pytest.approx(theirs.decision_function(rows[test]), abs=1e-6)
        assert set(" ".join(rows[test]).split()) - set(" ".join(rows[~test]).split())  # some words are new


def test_wording_that_belongs_to_a_cluster_gives_nothing_away_beyond_it():
    """Each cluster its own word: known in training, it would tell every item of the cluster."""
    label = np.arange(80) // 8 % 2
    cluster = np.arange(80) // 8
    texts = [f"word{'abcdefghij'[name]} and so on" for name in cluster]
    weights = bootstrap.cluster_weights(cluster, label, 200, seed=0)
    assert nulls.bag_of_words_auroc(label, texts, cluster, weights, folds=5, seed=0).value == pytest.approx(0.5)
    assert nulls.bag_of_words_auroc(label, texts, np.arange(80), weights, folds=5, seed=0).value == 1
