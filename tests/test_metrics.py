"""Metrics against scikit-learn, the definitions spelled out, and hand-computed cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from amun_steps.judging.metrics import accuracy, auc, average_gap, tpr_at_fpr

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_auc_is_scikit_learn_s(positive, negative):
    truth = [1] * len(positive) + [0] * len(negative)
    expected = 100 * roc_auc_score(truth, positive + negative)
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected)


def test_auc_counts_ties_at_half():
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 100 * 3.5 / 4


@given(SCORES, SCORES, st.sampled_from([0, 0.001, 0.01, 0.1, 0.29, 1 / 3, 0.5, 1]) | st.floats(0, 1))
def test_tpr_at_fpr_is_the_best_of_all_thresholds(positive, negative, fpr):
    positive, negative = np.array(positive), np.array(negative)
    thresholds = [*positive, *negative, np.inf]
    allowed = [t for t in thresholds if sum(negative >= t) / len(negative) <= fpr]
    expected = max(100 * sum(positive >= t) / len(positive) for t in allowed)
    assert tpr_at_fpr(positive, negative, fpr) == pytest.approx(expected)


@given(SCORES, SCORES, st.sampled_from([0, 0.01, 0.1, 0.5, 1]))
def test_tpr_at_fpr_is_the_highest_point_of_scikit_learn_s_curve_that_is_allowed(positive, negative, fpr):
    truth = [1] * len(positive) + [0] * len(negative)
    false, true, _ = roc_curve(truth, positive + negative, drop_intermediate=False)
    expected = 100 * true[false <= fpr].max()
    assert tpr_at_fpr(np.array(positive), np.array(negative), fpr) == pytest.approx(expected)


@pytest.mark.parametrize(("fpr", "expected"), [(0.29, 29), (0.2899, 28), (0.001, 0), (1, 100)])
def test_a_rate_that_is_met_exactly_is_allowed(fpr, expected):
    """0.29 * 100 rounds to less than 29, but 29 / 100 is 0.29. Each positive lies just below one negative."""
    negative = np.arange(100.0)
    positive = negative - 0.5
    assert tpr_at_fpr(positive, negative, fpr) == pytest.approx(expected)


def test_accuracy_by_hand():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 9.0]])
    labels = np.array([0, 0, 0, 1])
    assert accuracy(logits, labels, np.array([0, 1])) == 50
    assert accuracy(logits, labels, np.array([True, True, True, True])) == 75


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_diverged_is_nan_not_a_number_that_looks_like_one(bad):
    broken, good = np.array([0.1, bad]), np.array([0.1, 0.2])
    for positive, negative in [(broken, good), (good, broken)]:
        assert np.isnan(auc(positive, negative))
        assert np.isnan(tpr_at_fpr(positive, negative, 0.1))
    logits, labels = np.array([[1.0, 0.0], [bad, 0.0]]), np.array([0, 1])
    assert np.isnan(accuracy(logits, labels, np.array([1])))
    assert np.isnan(accuracy(logits, labels, np.array([0])))  # it is the model that diverged, not a sample


def test_average_gap_by_hand():
    values = np.array([[95.0, 99.0, 93.0, 52.0], [90.0, 100.0, 94.0, 50.0]])
    reference = np.array([94.0, 100.0, 94.0, 50.0])
    assert average_gap(values, reference).tolist() == [(1 + 1 + 1 + 2) / 4, 1.0]


def test_the_average_gap_of_a_run_that_diverged_is_nan():
    values = np.array([[95.0, 99.0, 93.0, np.nan], [90.0, 100.0, 94.0, 50.0]])
    assert np.isnan(average_gap(values, np.full(4, 90.0))).tolist() == [True, False]
