"""Metrics against scikit-learn, hand-computed cases, and the paper's own tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from amun_steps.metrics import accuracy, auc, average_gap, tpr_at_fpr

FEW_VALUES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1), min_size=1, max_size=40)


@given(FEW_VALUES, FEW_VALUES)
def test_auc_is_scikit_learn_s(positive, negative):
    truth = [1] * len(positive) + [0] * len(negative)
    expected = 100 * roc_auc_score(truth, positive + negative)
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected)


def test_auc_counts_ties_at_half():
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(100 * 3.5 / 4)


@given(FEW_VALUES, FEW_VALUES, st.sampled_from([0, 0.001, 0.01, 0.1, 0.3, 0.5, 1]))
def test_tpr_at_fpr_is_the_highest_point_of_scikit_learn_s_curve_that_is_allowed(positive, negative, fpr):
    truth = [1] * len(positive) + [0] * len(negative)
    false, true, _ = roc_curve(truth, positive + negative, drop_intermediate=False)
    expected = 100 * true[false <= fpr + 1e-12].max()
    assert tpr_at_fpr(np.array(positive), np.array(negative), fpr) == pytest.approx(expected)


def test_accuracy_by_hand():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 9.0]])
    labels = np.array([0, 0, 0, 1])
    assert accuracy(logits, labels, np.array([0, 1])) == 50
    assert accuracy(logits, labels, np.array([True, True, True, True])) == 75


def test_what_diverged_is_nan_not_a_number_that_looks_like_one():
    bad = np.array([0.1, np.nan])
    good = np.array([0.1, 0.2])
    assert np.isnan([auc(bad, good), auc(good, bad), tpr_at_fpr(bad, good, 0.1), tpr_at_fpr(good, bad, 0.1)]).all()
    assert np.isnan(accuracy(np.full((2, 3), np.inf), np.array([0, 1]), np.array([0, 1])))


def test_average_gap_by_hand():
    values = np.array([[95.0, 99.0, 93.0, 52.0], [90.0, 100.0, 94.0, 50.0]])
    reference = np.array([94.0, 100.0, 94.0, 50.0])
    assert average_gap(values, reference) == pytest.approx([(1 + 1 + 1 + 2) / 4, 1.0])
