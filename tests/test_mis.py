"""The SVM attack: its features against their formulas, its verdict on cases whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.svm import SVC

from amun_steps.mia import mis


@given(arrays(np.float64, (3, 4), elements=st.floats(-6, 6)))
def test_features_are_their_formulas_row_by_row(logits):
    labels = np.array([0, 3, 1])
    found = mis.features(logits, labels)
    for n, y in enumerate(labels):
        p = [math.exp(v) / sum(math.exp(w) for w in logits[n]) for v in logits[n]]
        assert found["correctness"][n] == (max(range(4), key=lambda j: logits[n][j]) == y)
        assert found["confidence"][n] == pytest.approx(p[y])
        assert found["probabilities"][n] == pytest.approx(p)
        assert found["entropy"][n] == pytest.approx(-sum(q * math.log(q) for q in p))
        modified = -(1 - p[y]) * math.log(p[y]) - sum(p[j] * math.log(1 - p[j]) for j in range(4) if j != y)
        assert found["modified_entropy"][n] == pytest.approx(modified, abs=1e-12)


def test_features_are_finite_where_a_probability_rounds_to_one():
    found = mis.features(np.array([[800.0, 0.0], [800.0, 0.0]]), np.array([0, 1]))
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["modified_entropy"][0] == 0
    assert found["modified_entropy"][1] > 500  # wrong, and certain of it


def test_separable_features_are_told_apart():
    members, others = np.full(40, 1.0), np.full(40, 0.1)
    assert mis.mis(members, others, np.array([0.99, 1.0, 0.12, 0.1])) == 50


def test_the_verdict_is_that_of_the_svm_of_the_papers():
    generator = np.random.default_rng(0)
    members, others, forget = generator.beta(8, 1, 90), generator.beta(3, 1, 90), generator.beta(5, 1, 30)
    machine = SVC(C=3, gamma="auto", kernel="rbf")
    machine.fit(np.r_[members, others][:, None], np.r_[np.ones(90), np.zeros(90)])
    expected = 100 * np.mean(machine.predict(forget[:, None]) == 0)
    assert 0 < expected < 100
    assert mis.mis(members, others, forget) == pytest.approx(expected)


def test_a_model_that_tells_members_apart_scores_low_on_members_and_high_on_others():
    """MIS is the share that is called non-member: for members that were not forgotten it is near 0."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 300)
    logits = np.eye(3)[labels] * np.where(np.arange(300) < 200, 9.0, 1.5)[:, None]
    logits += generator.normal(0, 0.1, logits.shape)
    remain, forget, test = np.arange(150), np.arange(150, 200), np.arange(200, 300)
    found = mis.scores(logits, labels, remain, forget, test, np.random.default_rng(0))
    assert list(found) == ["correctness", "confidence", "entropy", "modified_entropy", "probabilities"]
    assert found["confidence"] == 0
    unseen = mis.scores(logits, labels, remain, test[:50], test[50:], np.random.default_rng(0))
    assert unseen["confidence"] == 100


def test_a_diverged_model_has_no_mis():
    logits = np.full((10, 2), np.nan)
    found = mis.scores(
        logits, np.zeros(10, int), np.arange(4), np.arange(4, 6), np.arange(6, 10), np.random.default_rng(0)
    )
    assert np.isnan(list(found.values())).all()
