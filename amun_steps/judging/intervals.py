"""What few samples can say: 95% intervals of an AUC and of a share, and the p-value of a single score.

Shares are in percent, as in `amun_steps.judging.metrics`.
"""

import math

import numpy as np
from scipy.stats import beta, binom

from amun_steps.judging.metrics import auc

Z = 1.959964
"""A normal variable is within Z standard deviations with a probability of 95%."""

PRIOR = 2
"""So many samples of the largest possible spread are added to those that the spread is estimated from."""


def auc_interval(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """The 95% interval, in percent, of the AUC of scores (see `auc`); at least one sample of each kind.

    Wilson's interval (1927) of the AUC taken as a share, as Kottas, Kuss & Zapf (2014) take it, of so many trials that
    it has the variance of DeLong et al. (1988). Where samples are few, DeLong's estimate is too small by chance: PRIOR
    samples of the largest variance that an AUC theta can have, theta (1 - theta) per sample (Birnbaum & Klose, 1957),
    are added to it, and where the scores do not overlap, which tells no variance, all are of that one. Simulated with
    5 to 300 positives, 200 negatives and AUCs from 50 to 80, it has the truth in 93 to 99% of cases
    (`tests/test_intervals.py`). NaN where any score is not finite.
    """
    share = auc(positive, negative) / 100
    if math.isnan(share):
        return float("nan"), float("nan")
    spread = _spread(positive, negative) + _spread(negative, positive)
    return _wilson(share, 1 / spread)


def _spread(of: np.ndarray, others: np.ndarray) -> float:
    """The part of an AUC's variance that comes from the samples `of`, as a share of theta (1 - theta)."""
    ordered = np.sort(others)
    places = (np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")) / (2 * len(others))
    count, largest = len(of), places.mean() * (1 - places.mean())
    squares = ((places - places.mean()) ** 2).sum() / largest if largest > 0 else count
    return (squares + PRIOR) / (count - 1 + PRIOR) / count


def _wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's interval, in percent, of a share of so many trials, which need be no whole number."""
    middle = share + Z**2 / (2 * trials)
    half = Z * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    whole = 1 + Z**2 / trials
    return 100 * max(middle - half, 0.0) / whole, 100 * min((middle + half) / whole, 1.0)


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The interval, in percent, of a share of which `count` of `total` were found: Clopper & Pearson's (1934)."""
    outside = (1 - level) / 2
    low = beta.ppf(outside, count, total - count + 1) if count else 0.0
    high = beta.ppf(1 - outside, count + 1, total - count) if count < total else 1.0
    return 100 * float(low), 100 * float(high)


def tpr_interval(positive: np.ndarray, negative: np.ndarray, fpr: float) -> tuple[float, float]:
    """An interval, in percent, that has the true positive rate at a false positive rate of `fpr` in at least 95% of
    cases; at least one finite score of each kind.

    The threshold is known as well as few negatives tell it: of m of them as many lie above it as a binomial variable
    of m and `fpr` says, so that two of them hold it with 97.5%. Of the positives above each of these two the share has
    an interval of 97.5% (see `share_interval`), and both together, by Bonferroni's bound, 95%. Where there are too few
    negatives for a threshold, as of 100 at 1%, the interval begins at 0.
    """
    ordered = np.append(np.sort(negative)[::-1], -np.inf)
    fewest, most = (int(binom.ppf(share, len(negative), fpr)) for share in (0.0125, 0.9875))
    above = [np.count_nonzero(positive > ordered[rank]) if rank >= 0 else 0 for rank in (fewest - 1, most)]
    low, high = (share_interval(count, len(positive), 0.975)[end] for end, count in enumerate(above))
    return low, high


def p_values(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """(n,) the p-value of each score: the share of the scores `null` and its own that are at least as high.

    That of a sample which is no other than those of `null` is below p with a probability of at most p.
    """
    at_least = len(null) - np.searchsorted(np.sort(null), scores, "left")
    return (1 + at_least) / (1 + len(null))


def samples_for(half: float, negatives: int) -> int | None:
    """About how many positives make the interval of an AUC of 50 as narrow as +- `half` percent.

    By the variance of the Mann-Whitney statistic, (1/n + 1/m) / 12. None where so few `negatives` never do.
    """
    allowed = 12 * (half / 100 / Z) ** 2 - 1 / negatives
    return math.ceil(1 / allowed) if allowed > 0 else None
