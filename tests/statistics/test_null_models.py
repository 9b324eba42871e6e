import itertools

import numpy as np
import pytest
from scipy import stats

from wor.statistics import auc, bootstrap, nulls


def study(n=160, effect=0.6, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(int)
    return label, rng.normal(size=n) + effect * label


def test_shuffled_labels_sit_around_one_half_and_p_is_scipys():
    label, score = study(effect=0.2)
    result = nulls.permuted_auroc(label, score, np.arange(160), 4000, seed=0)
    assert result.value == pytest.approx(0.5, abs=0.005)
    assert result.n == 160
    theirs = stats.permutation_test(
        (score[label == 1], score[label == 0]),
        lambda a, b, axis: np.abs(stats.mannwhitneyu(a, b, axis=axis).statistic / (a.shape[axis] * b.shape[axis]) - 0.5),
        n_resamples=4000,
        alternative="greater",
        rng=np.random.default_rng(1),
    )
    assert 0.005 < theirs.pvalue < 0.5  # where the two could differ
    assert result.p == pytest.approx(theirs.pvalue, abs=0.02)
    middle = np.quantile(theirs.null_distribution + 0.5, 0.95)
    assert (result.low, result.high) == pytest.approx((1 - middle, middle), abs=0.01)


def test_whole_clusters_swap_classes():
    """Against every way there is: 5 of 10 clusters of unequal size take the positive class."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(10), [3, 1, 4, 2, 5, 2, 3, 4, 1, 6])
    label = (cluster < 5).astype(int)
    score = rng.normal(size=10)[cluster] + 0.1 * rng.normal(size=len(cluster)) + 0.4 * label
    every = [auc.auroc(np.isin(cluster, positives).astype(int), score) for positives in itertools.combinations(range(10), 5)]
    exact = np.mean(np.abs(np.array(every) - 0.5) >= abs(auc.auroc(label, score) - 0.5) - 1e-12)
    result = nulls.permuted_auroc(label, score, cluster, 6000, seed=0)
    assert result.p == pytest.approx(exact, abs=0.02)
    assert result.value == pytest.approx(np.mean(every), abs=0.01)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(every, [0.025, 0.975])), abs=0.02)
    # As if all items were independent, much less would seem to be chance.
    assert nulls.permuted_auroc(label, score, np.arange(len(label)), 6000, seed=0).p < exact / 2


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


def test_wording_that_belongs_to_a_cluster_gives_nothing_away_beyond_it():
    """Each cluster its own word: known in training, it would tell every item of the cluster."""
    label = np.arange(80) // 8 % 2
    cluster = np.arange(80) // 8
    texts = [f"word{'abcdefghij'[name]} and so on" for name in cluster]
    weights = bootstrap.cluster_weights(cluster, label, 200, seed=0)
    assert nulls.bag_of_words_auroc(label, texts, cluster, weights, folds=5, seed=0).value == pytest.approx(0.5)
    assert nulls.bag_of_words_auroc(label, texts, np.arange(80), weights, folds=5, seed=0).value == 1
