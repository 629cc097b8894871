"""Intervals and p-values that know how few samples there are: against simulation, tables and cases by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from amun_steps.judging.intervals import auc_interval, p_values, samples_for, share_interval, tpr_interval
from amun_steps.judging.metrics import auc, tpr_at_fpr

TEST = 200


def alike(rng, area, count):
    """Scores of two normal distributions with an AUC, which are the same where it is 0.5."""
    return rng.normal(np.sqrt(2) * norm.ppf(area), 1, count), rng.normal(size=TEST)


def some_remembered(rng, area, count):
    """A part of the samples above all others, and the rest like these: what memory looks like."""
    return np.where(rng.random(count) < 2 * area - 1, 2.0, 0.0) + rng.random(count), rng.random(TEST)


def rounded(rng, area, count):
    """The same with ties, as few references make them."""
    return tuple(np.floor(scores * 20) for scores in some_remembered(rng, area, count))


@pytest.mark.parametrize("area", [0.5, 0.65, 0.8])
@pytest.mark.parametrize("count", [5, 30, 300])
@pytest.mark.parametrize("draw", [alike, some_remembered, rounded])
def test_the_interval_of_an_auc_has_the_truth_as_often_as_it_says(draw, count, area):
    rng = np.random.default_rng(0)
    found = np.array([auc_interval(*draw(rng, area, count)) for _ in range(1000)])
    covered = ((found[:, 0] <= 100 * area) & (100 * area <= found[:, 1])).mean()
    assert covered >= 0.93
    assert covered < 0.97 or count < 300, "and is not wider than it has to be"


def test_more_samples_say_more():
    rng = np.random.default_rng(1)
    widths = [np.ptp(auc_interval(rng.random(count), rng.random(1000))) for count in (1, 5, 30, 300)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 60
    assert widths[-1] < 8


def test_an_interval_is_around_its_auc_and_turns_with_its_sign():
    rng = np.random.default_rng(2)
    for count in (1, 2, 5, 30):
        positive, negative = rng.random(count), rng.random(50)
        low, high = auc_interval(positive, negative)
        assert 0 <= low <= auc(positive, negative) <= high <= 100
        np.testing.assert_allclose(auc_interval(-positive, -negative), (100 - high, 100 - low), atol=1e-9)


def test_samples_that_are_all_above_the_others_do_not_prove_an_auc_of_100():
    low, high = auc_interval(np.full(5, 2.0), np.zeros(TEST))
    assert 45 < low < 60  # 5 of 5 have a share of at least 48 (Clopper-Pearson) or 57 (Wilson)
    assert high == 100
    assert auc_interval(np.zeros(300), np.full(TEST, 2.0))[1] < 5


def test_scores_that_are_all_the_same_say_nothing_in_particular():
    low, high = auc_interval(np.zeros(5), np.zeros(TEST))
    assert low < 50 < high


def test_a_diverged_model_has_no_interval():
    assert np.isnan(auc_interval(np.array([np.nan, 1.0]), np.zeros(3))).all()


@pytest.mark.parametrize(("count", "total"), [(0, 5), (5, 5), (1, 30), (3, 300)])
def test_the_interval_of_a_share_is_that_of_an_exact_test(count, total):
    expected = binomtest(count, total).proportion_ci(method="exact")
    np.testing.assert_allclose(share_interval(count, total), [100 * expected.low, 100 * expected.high])


@pytest.mark.parametrize("above", [0.0, 1.0, 2.0])
@pytest.mark.parametrize(("count", "negatives"), [(30, 599), (300, 599), (300, 200), (1000, 5000)])
def test_the_interval_of_a_tpr_has_the_truth_also_where_the_threshold_is_not_known(count, negatives, above):
    """Of normal scores, those of the positives `above` the others: the rate at the true threshold of 1%."""
    rng, truth = np.random.default_rng(0), 100 * norm.sf(norm.isf(0.01) - above)
    found = np.array(
        [tpr_interval(rng.normal(above, size=count), rng.normal(size=negatives), 0.01) for _ in range(500)]
    )
    assert ((found[:, 0] <= truth) & (truth <= found[:, 1])).mean() >= 0.95


def test_the_interval_of_a_tpr_is_around_it_and_begins_at_0_where_no_threshold_is_known():
    rng = np.random.default_rng(1)
    for negatives in (1, 30, 100, 599):
        for scores in (lambda n: rng.normal(size=n), lambda n: np.floor(4 * rng.random(n))):
            positive, negative = scores(200) + 1, scores(negatives)
            low, high = tpr_interval(positive, negative, 0.01)
            assert 0 <= low <= tpr_at_fpr(positive, negative, 0.01) <= high <= 100
            assert low == 0 or negatives == 599
    assert tpr_interval(np.full(50, 9.0), rng.normal(size=5), 0.01) == (0, 100)
    low, high = tpr_interval(np.full(300, 9.0), rng.normal(size=10_000), 0.01)
    assert (low, high) == share_interval(300, 300, 0.975), "where the threshold does not matter"


def test_p_values_by_hand():
    null = np.array([0.1, 0.2, 0.2, 0.4])
    np.testing.assert_allclose(p_values(np.array([0.0, 0.2, 0.3, 0.5]), null), [1, 4 / 5, 2 / 5, 1 / 5])


def test_p_values_of_samples_like_the_others_are_no_smaller_than_they_say():
    rng = np.random.default_rng(3)
    found = np.concatenate([p_values(rng.random(1), rng.random(19)) for _ in range(2000)])
    for level in (0.05, 0.2, 0.5):
        assert abs((found <= level).mean() - level) < 0.03


def test_as_many_samples_as_are_said_to_be_needed_make_an_interval_so_narrow():
    assert samples_for(5, 1000) == 147  # 1 / (12 (0.05 / 1.96)^2 - 1 / 1000)
    rng = np.random.default_rng(4)
    widths = [np.ptp(auc_interval(rng.random(147), rng.random(1000))) for _ in range(50)]
    assert np.mean(widths) == pytest.approx(10, abs=0.4)
    assert samples_for(5, 100) is None
