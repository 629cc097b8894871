"""RMIA against a literal double loop over its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amun_steps.mia import rmia

# few values, so that ties, zeros and signs meet; and any value
RATIOS = st.sampled_from([-4.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 4.0, math.inf, math.nan]) | st.floats(-10, 10)


def literal_score(r: np.ndarray, x: int, gamma: float) -> float:
    """The share of z != x with r_x / r_z > gamma, one z at a time, in the form without a division."""
    if math.isnan(r[x]):
        return math.nan
    count = 0
    for z in range(len(r)):
        if z == x or math.isnan(r[z]):
            continue
        if r[z] > 0:
            count += gamma * r[z] < r[x]
        elif r[z] < 0:
            count += gamma * r[z] > r[x]
        else:
            count += r[x] > 0
    return count / (len(r) - 1)


@given(st.data(), st.integers(2, 25), st.sampled_from([1.0, 1.5, 2.0]))
def test_scores_are_the_double_loop_s(data, n, gamma):
    r = data.draw(arrays(np.float64, n, elements=RATIOS))
    found = rmia.scores(r, np.ones(n), gamma)
    expected = [literal_score(r, x, gamma) for x in range(n)]
    np.testing.assert_array_equal(found, expected)


@given(arrays(np.float64, 12, elements=st.floats(0.01, 1)), arrays(np.float64, 12, elements=st.floats(0.01, 1)))
def test_for_probabilities_scores_are_the_shares_of_ratios_above_gamma(target, prior):
    ratios = target / prior
    odds = ratios[:, None] / ratios[None, :]
    if np.abs(odds - 2).min() < 1e-9:  # a tie is decided by rounding
        return
    np.testing.assert_array_equal(rmia.scores(target, prior, 2.0), ((odds > 2).sum(axis=1)) / 11)


def test_scores_of_many_models_are_those_of_each():
    generator = np.random.default_rng(0)
    targets, prior = generator.random((3, 50)), generator.random(50)
    together = rmia.scores(targets, prior)
    for row in range(3):
        np.testing.assert_array_equal(together[row], rmia.scores(targets[row], prior))


def tau(v: float, terms: int) -> float:
    return sum(v**k / math.factorial(k) for k in range(terms))


@given(
    arrays(np.float64, (4, 5), elements=st.floats(-30, 30)),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.6]),
    st.sampled_from([1.0, 2.0]),
)
def test_the_signal_is_the_formula_class_by_class(logits, terms, margin, temperature):
    labels = np.array([0, 4, 2, 2])
    found = rmia.signal(logits, labels, temperature=temperature, margin=margin, taylor_terms=terms)
    for n, label in enumerate(labels):
        scaled = logits[n] / temperature
        top = tau(scaled[label] - margin, terms)
        bottom = top + sum(tau(v, terms) for j, v in enumerate(scaled) if j != label)
        scale = abs(top) + sum(abs(tau(v, terms)) for v in scaled)
        if abs(bottom) > 1e-6 * scale:  # elsewhere the sum cancels, and its digits are rounding's
            assert found[n] == pytest.approx(top / bottom, rel=1e-6)


def test_four_terms_end_at_the_cube():
    """l = (3, 1) / 1, m = 0: tau(3) = 1 + 3 + 4.5 + 4.5 = 13, tau(1) = 1 + 1 + 1/2 + 1/6."""
    found = rmia.signal(np.array([[3.0, 1.0]]), np.array([0]), temperature=1.0, margin=0.0)
    assert found == pytest.approx([13 / (13 + 8 / 3)])


def test_odd_orders_are_negative_far_down_and_nothing_is_clipped():
    """tau(-4) = 1 - 4 + 8 - 32/3 < 0: a 'probability' above 1, and scores that are defined all the same."""
    logits = np.array([[8.0, -4.0], [-4.0, 8.0], [1.0, 0.0]])
    found = rmia.signal(logits, np.array([0, 0, 0]), temperature=1.0, margin=0.0)
    assert found[0] > 1
    assert found[1] < 0
    assert np.isfinite(rmia.scores(found, np.full(3, 0.5))).all()


def test_a_diverged_model_is_nan_for_its_own_samples_only():
    logits = np.array([[[1.0, 2.0], [np.nan, 0.0]], [[1.0, 2.0], [0.5, 0.0]]])
    found = rmia.signal(logits, np.array([1, 0]))
    assert np.isnan(found).tolist() == [[False, True], [False, False]]
    scores = rmia.scores(found, np.array([0.5, 0.5]))
    assert np.isnan(scores).tolist() == [[False, True], [False, False]]


def test_the_prior_is_the_mean_over_references():
    assert rmia.prior(np.array([[0.2, 0.4], [0.6, 0.0]])) == pytest.approx([0.4, 0.2])
