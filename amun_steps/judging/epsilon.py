"""Epsilon and score of the NeurIPS 2023 unlearning challenge (Triantafillou et al., 2024), as in its evaluation code.

For each sample of D_F: how well can unlearned models be told from retrained ones by what they say of it? The rule is
the best of many, and its error rates give an epsilon as in differential privacy.
"""

import math

import numpy as np

DELTA = 1e-5
CAP = 50.0
"""The largest epsilon; that of a sample by which the two are told apart without an error."""
PEAKED = 0.01
"""Where one kind's log odds lie in less than this share of the other's range, epsilon is CAP."""
REACH = 2.0
"""How far, in log odds, an interval's ends may lie from those of the narrower of the two."""
BUCKET = 0.5
"""Points are halved at every multiple."""


def epsilons(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """(n,) epsilon in [0, CAP] of samples with (models, n) log odds by unlearned and by retrained models.

    The rules: a threshold, above which are models of the kind with the larger median; and an interval, in which are
    those of the kind with the smaller range. epsilon is the largest of log(1 - delta - FPR) - log FNR and log(1 - delta
    - FNR) - log FPR over all rules whose rates are both above 0, CAP where both are 0. The challenge's code tries
    thresholds 0.01 apart; here all that differ are tried. 0 where no rule has rates of which that is defined, which
    the code does not allow for: the two are one point.

    Two kinds that are the same do not have 0, since the best rule is chosen on the models that it is measured on: 512
    and 512 of one Gaussian have a median of 1.6 and 0.19 points. So have 100 and 100, and 10 and 10: fewer models tell
    less of what is not the same.
    """
    return np.array([_epsilon(u, r) for u, r in zip(unlearned.T, retrained.T, strict=True)])


def _epsilon(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    ranges = np.ptp(unlearned), np.ptp(retrained)
    if min(ranges) < PEAKED * max(ranges):
        return CAP
    false = [_of_thresholds(unlearned, retrained), _of_intervals(unlearned, retrained)]
    positive, negative = np.concatenate(false, axis=1)
    if np.any((positive == 0) & (negative == 0)):
        return CAP
    defined = (positive > 0) & (negative > 0)
    positive, negative = positive[defined], negative[defined]
    with np.errstate(divide="ignore", invalid="ignore"):  # 1 - delta - 1 has no logarithm
        found = [np.log(1 - DELTA - a) - np.log(b) for a, b in ((positive, negative), (negative, positive))]
    return float(np.clip(np.nan_to_num(found).max(initial=0.0), 0, CAP))


def _of_thresholds(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """(2, rules) false positive and false negative rates of 'at least t' for the kind with the larger median."""
    larger, smaller = unlearned, retrained
    if np.median(retrained) > np.median(unlearned):
        larger, smaller = retrained, unlearned
    points = np.unique(np.concatenate([larger, smaller]))
    below_larger, below_smaller = (_up_to(of, points, "left") for of in (larger, smaller))
    return np.array([1 - below_smaller, below_larger])


def _of_intervals(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """(2, rules) false positive and false negative rates of 'within [l, r]' for the kind with the smaller range.

    r is within REACH of that kind's largest log odds, r - l of its range. An interval holds the points from some a to
    some b: l lies above the point before a and r below the one after b.
    """
    narrow, wide = unlearned, retrained
    if np.ptp(unlearned) > np.ptp(retrained):
        narrow, wide = retrained, unlearned
    points = np.unique(np.concatenate([narrow, wide]))
    least, most = narrow.max() - REACH, narrow.max() + REACH
    right = np.maximum(points, least), np.minimum(np.append(points[1:], np.inf), most)
    left = np.append(-np.inf, points[:-1]), points
    first, last = (axis.ravel() for axis in np.indices((len(points), len(points))))
    possible = (first <= last) & (right[0] < right[1])[last]
    possible &= right[0][last] - left[1][first] <= np.ptp(narrow) + REACH
    possible &= right[1][last] - left[0][first] > np.ptp(narrow) - REACH
    first, last = first[possible], last[possible]
    of_narrow, of_wide = (
        _up_to(of, points, "right")[last] - _up_to(of, points, "left")[first] for of in (narrow, wide)
    )
    return np.array([of_wide, 1 - of_narrow])


def _up_to(values: np.ndarray, points: np.ndarray, side: str) -> np.ndarray:
    """(points,) the share of values below each point ("left") or up to it ("right")."""
    return np.searchsorted(np.sort(values), points, side=side) / len(values)


def points(epsilon: np.ndarray, models: int) -> np.ndarray:
    """(n,) the points that samples with an epsilon get: 1 below BUCKET, a half in the next, and so on, up to the
    largest multiple at which as many unlearned models could show an epsilon, ceil(log(models - 1)); 0 from there on.

    NaN for fewer than three models, which get points for nothing.
    """
    if models < 3:
        return np.full(epsilon.shape, np.nan)
    bucket = np.floor(epsilon / BUCKET)
    return np.where(bucket < math.ceil(math.log(models - 1)) / BUCKET, 0.5**bucket, 0.0)


def score(
    epsilon: np.ndarray,
    models: int,
    unlearned: np.ndarray,
    retrained: np.ndarray,
) -> float:
    """The challenge's score: the mean points of D_F times RA_u / RA_r times TA_u / TA_r.

    unlearned, retrained: (2,) the mean accuracies of `models` unlearned models, and of the retrained ones, on D_R and
    the test set. From 0 up; that of retrained models is below 1, since epsilon is not 0 for them (see `epsilons`).
    """
    return float(points(epsilon, models).mean() * np.prod(np.asarray(unlearned) / retrained))
