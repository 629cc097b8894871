"""Epsilon and score of the NeurIPS challenge: by its evaluation written out, and on cases whose answer is known."""

import math

import literal_judges
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amun_steps.judging.epsilon import epsilons, points, score


@pytest.mark.parametrize("seed", range(12))
def test_epsilon_is_the_largest_over_the_challenge_s_thresholds(seed):
    """On log odds that lie more than a grid's step apart, so that its thresholds miss none."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.03, 0.5, 17).cumsum()
    order = generator.permutation(17) if seed % 3 else np.r_[generator.permutation(12), generator.permutation(5) + 12]
    unlearned, retrained = values[order[:9]], values[order[9:]]
    if seed % 2:
        unlearned = unlearned.mean() + 3 * (unlearned - unlearned.mean())
    expected = literal_judges.epsilon(unlearned.tolist(), retrained.tolist())
    assert epsilons(unlearned[:, None], retrained[:, None]) == pytest.approx([expected])


def test_two_kinds_that_are_the_same_models_have_an_epsilon_of_nothing_and_the_whole_score():
    said = np.random.default_rng(0).normal(size=(20, 6))
    assert epsilons(said, said).tolist() == [0] * 6
    assert score(epsilons(said, said), 20, np.array([0.9, 0.8]), np.array([0.9, 0.8])) == 1


def test_two_kinds_that_never_overlap_have_the_largest_epsilon():
    generator = np.random.default_rng(0)
    low, high = generator.uniform(0, 1, (9, 3)), generator.uniform(2, 3, (7, 3))
    assert epsilons(low, high).tolist() == epsilons(high, low).tolist() == [50] * 3
    around = np.concatenate([low, high])  # of which an interval tells what lies between
    assert epsilons(around, 1.5 + 0.1 * (low - 0.5)).tolist() == [50] * 3


def test_models_that_all_say_nearly_the_same_have_the_largest_epsilon():
    wide = np.linspace(0, 1, 10)[:, None]
    assert epsilons(wide, 0.45 + 0.009 * wide) == 50
    beneath = np.array([0, 0.2, 0.4545, 0.8, 1])[:, None]  # no rule tells its third without an error
    assert epsilons(beneath, 0.45 + 0.0099 * wide) == 50 > epsilons(beneath, 0.45 + 0.0101 * wide)
    assert epsilons(np.ones((4, 1)), np.ones((4, 1))) == 0  # no rule tells one point from itself


def test_a_threshold_is_for_the_kind_with_the_larger_median():
    """So far apart that intervals, which hold nearly all of the narrower kind, tell less."""
    low, high = np.arange(0.0, 36, 4), np.array([3.0, 14, 22, 27, 30, 33, 34, 37, 39])
    expected = literal_judges.epsilon(low.tolist(), high.tolist())
    assert expected > 0
    for kinds in ((low, high), (high, low)):
        assert epsilons(*(kind[:, None] for kind in kinds)) == pytest.approx([expected])


def test_an_interval_s_ends_reach_no_farther_than_two():
    """An interval from 0.2 to 13 would take in more of the narrow kind than of the wide one, but reaches too far."""
    narrow, wide = np.array([0.0, 0.5, 1.0, 3.05]), np.array([-10.0, 0.2, 0.7, 13.0])
    expected = literal_judges.epsilon(narrow.tolist(), wide.tolist())
    assert epsilons(narrow[:, None], wide[:, None]) == pytest.approx([expected])


def test_equal_gaussians_have_the_epsilon_of_chance():
    generator = np.random.default_rng(0)
    found = epsilons(*generator.normal(size=(2, 512, 150)))
    assert np.median(found) == pytest.approx(1.6, abs=0.1)
    assert points(found, 512).mean() == pytest.approx(0.185, abs=0.02)


@given(st.floats(0, 50), st.integers(3, 1000))
@example(3.2, 21)  # ceil(log 20) is 3, ceil(log 21) is 4
def test_points_are_halved_from_bucket_to_bucket_up_to_what_so_many_models_could_show(epsilon, models):
    assert points(np.array([epsilon]), models) == literal_judges.points(epsilon, models)


def test_the_score_is_the_points_times_what_was_kept():
    """Nine models: points up to ceil(log 8) = 3; 1, 1/2, 1/32 and nothing."""
    told = np.array([0.4, 0.5, 2.9, 3.0])
    expected = (1 + 1 / 2 + 1 / 32) / 4 * (0.9 / 1.0) * (0.8 / 0.9)
    assert score(told, 9, np.array([0.9, 0.8]), np.array([1.0, 0.9])) == pytest.approx(expected)
    assert math.isnan(score(told, 2, np.ones(2), np.ones(2)))
