"""RMIA against a literal double loop over its definition, its signal against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amun_steps.judging import rmia

SPECIAL = [0.0, 0.1, 0.7, 1.0, 5e-324, 1e-300, 1e308, math.inf, math.nan]
# powers of gamma make ties
RATIOS = st.tuples(st.sampled_from(SPECIAL) | st.floats(0, 10), st.sampled_from([1, -1]), st.integers(0, 2))


def literal_score(r: list[float], x: int, gamma: float) -> float:
    """The share of z != x with r_x / r_z > gamma, one z at a time, in the form without a division."""
    if math.isnan(r[x]) or len(r) == 1:
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


@pytest.mark.filterwarnings("error")
@given(st.lists(RATIOS, min_size=1, max_size=25), st.sampled_from([1.0, 1.1, 2.0, 3.0]))
def test_scores_are_the_double_loop_s(ratios, gamma):
    r = [sign * value * gamma**power for value, sign, power in ratios]
    found = rmia.scores(np.array(r), np.ones(len(r)), gamma)
    np.testing.assert_array_equal(found, [literal_score(r, x, gamma) for x in range(len(r))])


@pytest.mark.parametrize("gamma", [1.1, 1.5, 3.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ratio_of_gamma_is_not_above_gamma(gamma, sign):
    """In floating point too: (0.1 * 3) / 3 > 0.1, and a test of r_z < r_x / gamma would count it."""
    for tenths in range(1, 60):
        r = sign * tenths / 10
        assert rmia.scores(np.array([r, gamma * r]), np.ones(2), gamma).tolist() == [0, 0]


POSITIVE = arrays(np.float64, 12, elements=st.floats(0.01, 1))


@given(POSITIVE, POSITIVE)
def test_for_probabilities_scores_are_the_shares_of_ratios_above_gamma(target, prior):
    ratios = target / prior
    odds = ratios[:, None] / ratios[None, :]
    assume(np.abs(odds - 2).min() > 1e-9)  # a tie is decided by rounding
    np.testing.assert_array_equal(rmia.scores(target, prior, 2.0), (odds > 2).sum(axis=1) / 11)


def test_scores_by_hand():
    """r = 4, 2, 1, 0, -1, -3: 4 > 2 x 1, 0; 2 > 2 x 0 (2 = 2 x 1 is none); 1 > 2 x 0; -3 / -1 > 2."""
    found = rmia.scores(np.array([4.0, 2.0, 1.0, 0.0, -1.0, -3.0]), np.ones(6), 2.0)
    assert found.tolist() == [2 / 5, 1 / 5, 1 / 5, 0, 0, 1 / 5]


def test_scores_of_many_models_are_those_of_each():
    generator = np.random.default_rng(0)
    targets, prior = generator.random((2, 3, 50)), generator.random(50)
    together = rmia.scores(targets, prior)
    for row in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[row], rmia.scores(targets[row], prior))


@pytest.mark.parametrize("gamma", [0.5, math.nan])
def test_a_gamma_below_one_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma: found"):
        rmia.scores(np.ones(3), np.ones(3), gamma)


def tau(v: Fraction, terms: int) -> Fraction:
    return sum((v**k / math.factorial(k) for k in range(terms)), Fraction(0))


@given(
    arrays(np.float64, (3, 5), elements=st.floats(-30, 30)),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.6]),
    st.sampled_from([1.0, 2.0]),
)
def test_the_signal_is_the_formula_class_by_class(logits, terms, margin, temperature):
    labels = np.array([0, 4, 2])
    found = rmia.signal(logits, labels, temperature=temperature, margin=margin, taylor_terms=terms)
    for n, label in enumerate(labels):
        scaled = [Fraction(v) / Fraction(temperature) for v in logits[n]]
        top = tau(scaled[label] - Fraction(margin), terms)
        bottom = top + sum(tau(v, terms) for j, v in enumerate(scaled) if j != label)
        # rounding is relative to the largest terms: where they cancel, the quotient's digits are rounding's
        scale = sum(tau(abs(v) + Fraction(margin), terms) for v in scaled)
        if abs(bottom) > scale / 10**6:
            assert found[n] == pytest.approx(float(top / bottom), rel=1e-6, abs=1e-6)


def test_four_terms_end_at_the_cube():
    """tau(3) = 1 + 3 + 4.5 + 4.5 = 13 and tau(1) = 1 + 1 + 1/2 + 1/6; v^4/4! would add 3.375 and 1/24."""
    found = rmia.signal(np.array([[3.0, 1.0]]), np.array([0]), temperature=1.0, margin=0.0)
    assert found == pytest.approx([13 / (13 + 8 / 3)])


def test_the_defaults_are_the_paper_s():
    """logits 3.2 and 2, T = 2, m = 0.6: tau(1.6 - 0.6) = tau(2 / 2) = 8 / 3."""
    assert rmia.signal(np.array([[3.2, 2.0]]), np.array([0])) == pytest.approx([1 / 2])


def test_odd_orders_are_negative_far_down_and_nothing_is_clipped():
    """tau(-4) = 1 - 4 + 8 - 32/3 < 0: a 'probability' above 1 and one below 0, whose scores are defined."""
    logits = np.array([[8.0, -4.0], [-4.0, 8.0], [1.0, 0.0]])
    found = rmia.signal(logits, np.array([0, 0, 0]), temperature=1.0, margin=0.0)
    assert found[0] > 1
    assert found[1] < 0
    assert rmia.scores(found, np.array([0.1, 0.5, 0.5])).tolist() == [1 / 2, 0, 0]


@pytest.mark.filterwarnings("error")
def test_a_denominator_of_zero_is_infinite_or_nan_for_its_own_sample_only():
    """Two terms, tau(v) = 1 + v: 3 / (3 - 3), -3 / (3 - 3), 0 / 0, and 2 / (2 + 1)."""
    logits, labels = np.array([[2.0, -4.0], [2.0, -4.0], [-1.0, -1.0], [1.0, 0.0]]), np.array([0, 1, 0, 0])
    found = rmia.signal(logits, labels, temperature=1.0, margin=0.0, taylor_terms=2)
    np.testing.assert_array_equal(found, [math.inf, -math.inf, math.nan, 2 / 3])
    np.testing.assert_array_equal(rmia.scores(found, np.ones(4)), [1 / 3, 0, math.nan, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.filterwarnings("error")
def test_a_diverged_model_is_nan_for_its_own_samples_only(bad, place):
    logits = np.array([[[1.0, 2.0], [0.5, 0.0]], [[1.0, 2.0], [0.5, 0.0]]])
    logits[0, 1, place] = bad
    found = rmia.signal(logits, np.array([1, 0]))
    assert np.isnan(found).tolist() == [[False, True], [False, False]]
    scores = rmia.scores(found, np.array([0.5, 0.5]))
    assert np.isnan(scores).tolist() == [[False, True], [False, False]]


def test_the_signal_is_computed_in_float64_and_leaves_the_logits_alone():
    logits = np.random.default_rng(0).normal(0, 8, (20, 10)).astype(np.float32)
    before, labels = logits.copy(), np.arange(20) % 10
    found = rmia.signal(logits, labels)
    np.testing.assert_array_equal(found, rmia.signal(logits.astype(np.float64), labels))
    np.testing.assert_array_equal(logits, before)


def test_the_prior_is_the_mean_over_references():
    assert rmia.prior(np.array([[0.2, 0.4], [0.6, 0.0], [0.7, 0.2]])) == pytest.approx([0.5, 0.2])
