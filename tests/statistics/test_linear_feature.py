"""Check the projection on the difference of class means, fold by fold."""

import numpy as np
import pytest

from tests.helpers.cross_fits import within_fold_auroc
from wor.statistics.baseline import make_splits
from wor.statistics.linear_feature import fit_linear_feature, fit_without_dataset

N, WIDTH = 60, 12
LABEL = np.arange(N) % 2
CLUSTER = np.array([f"{index % 2}/{index // 4}" for index in range(N)])  # two items each
DATASET = np.where(LABEL == 0, "wiki", np.where(np.arange(N) < 32, "gsm", "syllogism"))
SETTINGS = {"folds": 3, "repeats": 2, "seed": 5}


def make_states(effect=0.0, by_dataset=0.0, seed=0):
    """Return states that the class shifts along one axis, and each dataset along one of its own."""
    states = np.random.default_rng(seed).normal(size=(N, WIDTH))
    states[:, 0] += effect * LABEL
    states[:, 1] += by_dataset * (DATASET == "gsm")
    states[:, 2] += by_dataset * (DATASET == "syllogism")
    return states


def project(states, train, test):
    """Return the projection as its definition says."""
    direction = np.mean(states[[i for i in train if LABEL[i]]], 0) - np.mean(states[[i for i in train if not LABEL[i]]], 0)
    return [float(states[i] @ direction) / float(direction @ direction) ** 0.5 for i in test]


def test_each_fold_is_projected_on_the_direction_of_the_others():
    states = make_states(effect=2.0)
    fit = fit_linear_feature(LABEL, states, CLUSTER, **SETTINGS)
    for repeat, split in enumerate(make_splits(LABEL, CLUSTER, **SETTINGS)):
        for index, (train, test) in enumerate(split):
            assert not set(CLUSTER[train]) & set(CLUSTER[test])
            assert fit.log_odds[repeat, test] == pytest.approx(project(states, train, test))
            assert (fit.fold[repeat, test] == index).all()
    assert within_fold_auroc(fit, LABEL) > 0.7


def test_without_an_effect_nothing_is_found_and_a_rotation_changes_nothing():
    states = make_states()
    fits = [fit_linear_feature(LABEL, make_states(seed=seed), CLUSTER, **SETTINGS) for seed in range(20)]
    assert np.mean([within_fold_auroc(fit, LABEL) for fit in fits]) == pytest.approx(0.5, abs=0.05)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0]
    turned = fit_linear_feature(LABEL, states @ rotation, CLUSTER, **SETTINGS)
    assert turned.log_odds == pytest.approx(fits[0].log_odds)


def test_a_dataset_is_projected_on_a_direction_made_without_it():
    states = make_states(effect=1.0)
    fit = fit_without_dataset(LABEL, states, CLUSTER, DATASET, repeats=2, seed=5)
    for log_odds, fold in zip(fit.log_odds, fit.fold, strict=True):
        assert (fold[DATASET == "gsm"] == 0).all()
        assert (fold[DATASET == "syllogism"] == 1).all()
        assert np.bincount(fold[LABEL == 0]).tolist() == pytest.approx([16, 14], abs=2)
        for index in (0, 1):
            test, train = np.flatnonzero(fold == index), np.flatnonzero(fold != index)
            assert not set(CLUSTER[train]) & set(CLUSTER[test])
            assert log_odds[test] == pytest.approx(project(states, train, test))


def test_a_direction_of_one_dataset_alone_is_no_direction_of_reasoning():
    fits = []
    for seed in range(10):
        states = make_states(by_dataset=3.0, seed=seed)
        within = fit_linear_feature(LABEL, states, CLUSTER, **SETTINGS)
        without = fit_without_dataset(LABEL, states, CLUSTER, DATASET, repeats=2, seed=5)
        fits.append([within_fold_auroc(fit, LABEL) for fit in (within, without)])
    within, without = np.mean(fits, 0)
    assert within > 0.8
    assert without < 0.6


def test_why_there_is_none():
    states = make_states()
    states[3, 4] = np.inf
    assert fit_linear_feature(LABEL, states, CLUSTER, **SETTINGS) == "states hold NaN or overflow"
    one = np.where(LABEL == 0, "wiki", "gsm")
    reason = fit_without_dataset(LABEL, make_states(), CLUSTER, one, repeats=1, seed=0)
    assert reason == "1 dataset of reasoning items; to leave one out takes 2"
    few = np.where(LABEL == 0, "all", CLUSTER)
    assert "fewer than 3 folds" in fit_linear_feature(LABEL, make_states(), few, **SETTINGS)
