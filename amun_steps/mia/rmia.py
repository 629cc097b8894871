"""RMIA (Zarifzadeh et al., 2024), online, as the paper uses it (section 5.2, Appendix C).

Is x a member of the model's training set? With r_x = Pr(x | theta) / Pr(x), its score is the share of other samples z
with r_x / r_z > gamma.
"""

import numpy as np


def signal(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float = 2.0,
    margin: float = 0.6,
    taylor_terms: int = 4,
) -> np.ndarray:
    """(..., N) float64 Pr(x | theta), the SM-Taylor-Softmax of the true class, of (..., N, classes) logits.

    tau(v), the first `taylor_terms` terms of exp's series, stands for exp: tau(l_y - m) / (tau(l_y - m) + sum of
    tau(l_j) over j != y) with l = logits / temperature and m = `margin`. Four terms end at v^3/3!, which is what the
    authors' code computes for the n = 4 of its settings; a Taylor softmax of order 4 would add v^4/4!.

    An odd order makes tau negative below some v (four terms: v < -1.6), so this is no probability: it may leave [0, 1],
    and is infinite where the denominator is 0. It is used as the authors use it, unclipped; `scores` is defined for
    every value. Logits that are not finite give NaN for their own sample and for no other.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    true = np.take_along_axis(scaled, np.broadcast_to(labels[:, None], (*scaled.shape[:-1], 1)), axis=-1)
    with np.errstate(all="ignore"):
        numerator = _taylor(true - margin, taylor_terms)[..., 0]
        others = _taylor(scaled, taylor_terms).sum(axis=-1) - _taylor(true, taylor_terms)[..., 0]
        found = numerator / (numerator + others)
    return np.where(np.isfinite(scaled).all(axis=-1), found, np.nan)


def _taylor(v: np.ndarray, terms: int) -> np.ndarray:
    """sum of v^k / k! for k < terms, by Horner's rule."""
    total = np.ones_like(v)
    for k in range(terms - 1, 0, -1):
        total = 1 + total * v / k
    return total


def prior(reference_signals: np.ndarray) -> np.ndarray:
    """(N,) Pr(x): the mean of (references, N) signals; half of the models are IN, which makes it online RMIA's."""
    return reference_signals.mean(axis=0)


def scores(target: np.ndarray, prior: np.ndarray, gamma: float = 2.0) -> np.ndarray:
    """(..., N) RMIA scores in [0, 1] of target models with (..., N) signals; the larger, the more likely a member.

    score(x) = #{z != x: r_x / r_z > gamma} / (N - 1) with gamma >= 1, decided without a division: by gamma r_z < r_x
    for r_z > 0, gamma r_z > r_x for r_z < 0, and r_x > 0 for r_z = 0 (a ratio of plus infinity). A z whose r is NaN is
    counted for no x, an x whose r is NaN has score NaN. Two sorts and two searches, O(N log N).
    """
    with np.errstate(all="ignore"):
        ratios = np.asarray(target, dtype=np.float64) / prior
    found = np.empty_like(ratios)
    for row in np.ndindex(ratios.shape[:-1]):
        found[row] = _scores(ratios[row], gamma)
    return found


def _scores(r: np.ndarray, gamma: float) -> np.ndarray:
    negative, positive = np.sort(gamma * r[r < 0]), np.sort(gamma * r[r > 0])
    counts = np.searchsorted(positive, r, side="left")
    counts += len(negative) - np.searchsorted(negative, r, side="right")
    counts += np.where(r > 0, np.count_nonzero(r == 0), 0)
    # x itself was never counted: gamma >= 1, so gamma r_x is on r_x's far side
    return np.where(np.isnan(r), np.nan, counts / (len(r) - 1))
