"""RMIA (Zarifzadeh et al., 2024), online, as the paper uses it (section 5.2, Appendix C).

Is x a member of the model's training set? With r_x = Pr(x | theta) / Pr(x), its score is the share of other
samples z with r_x / r_z > gamma.
"""

import numpy as np

BLOCK = 8192  # samples whose logits are in memory in float64 at once


def signal(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float = 2.0,
    margin: float = 0.6,
    taylor_terms: int = 4,
) -> np.ndarray:
    """(..., N) float64 Pr(x | theta): the SM-Taylor-Softmax of the label (N,) among (..., N, classes) logits.

    With l = logits / temperature, m = `margin` and tau(v) the first `taylor_terms` terms of exp's series, it
    is tau(l_y - m) / (tau(l_y - m) + sum of tau(l_j) over j != y). The temperature is Appendix C's, the rest
    of the defaults the public code's. By definition (Banerjee et al., 2020; RMIA's paper) order n = 4 ends at
    v^4/4!, and an even n makes tau positive; RMIA's public code, and with it this paper's, ends at v^3/3! for
    its n = 4. So do four terms here.

    So tau is negative below v = -1.6, and this is no probability: it may be negative, above 1, infinite (the
    denominator is 0) or NaN (the numerator too). It is left as it is, as in the public code: every clipping
    would be another attack, and `scores` is defined for all values. Logits that are not finite give NaN for
    their own sample and for no other.
    """
    found = np.empty(logits.shape[:-1])
    for start in range(0, len(labels), BLOCK):
        part = slice(start, start + BLOCK)
        found[..., part] = _signal(logits[..., part, :], labels[part], temperature, margin, taylor_terms)
    return found


def _signal(logits: np.ndarray, labels: np.ndarray, temperature: float, margin: float, terms: int) -> np.ndarray:
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    true = np.broadcast_to(labels[:, None], (*scaled.shape[:-1], 1))
    np.put_along_axis(scaled, true, np.take_along_axis(scaled, true, axis=-1) - margin, axis=-1)
    with np.errstate(all="ignore"):
        tau = _taylor(scaled, terms)
        found = np.take_along_axis(tau, true, axis=-1)[..., 0] / tau.sum(axis=-1)
    # a negative infinity at another class would make a finite number, 0
    return np.where(np.isfinite(scaled).all(axis=-1), found, np.nan)


def _taylor(v: np.ndarray, terms: int) -> np.ndarray:
    """sum of v^k / k! for k < terms, by Horner's rule."""
    total = np.ones_like(v)
    for k in range(terms - 1, 0, -1):
        total = 1 + total * v / k
    return total


def prior(reference_signals: np.ndarray) -> np.ndarray:
    """(N,) Pr(x): the mean of (references, N) signals; half of them are IN, which makes it online RMIA's.

    One reference that diverged makes it NaN, and with it every score.
    """
    return reference_signals.mean(axis=0)


def unbalanced_prior(reference_signals: np.ndarray, included: np.ndarray) -> np.ndarray:
    """(N,) Pr(x) by (references, N) signals of which not just half are IN: the mean of IN's mean and OUT's.

    Where there are none of the one or the other it is the mean of those that there are.
    """
    counts = included.sum(axis=0), (~included).sum(axis=0)
    sums = (np.where(of, reference_signals, 0).sum(axis=0) for of in (included, ~included))
    means = [total / np.maximum(count, 1) for total, count in zip(sums, counts, strict=True)]
    return np.where(np.minimum(*counts) > 0, sum(means) / 2, reference_signals.mean(axis=0))


def scores(target: np.ndarray, prior: np.ndarray, gamma: float = 2.0) -> np.ndarray:
    """(..., N) RMIA scores in [0, 1] of models with (..., N) signals; the larger, the more likely a member.

    score(x) = #{z != x: r_x / r_z > gamma} / (N - 1), r = target / `prior` (N,). The test is decided without
    its division, which rounds: by (gamma r_z) < r_x for r_z > 0, by (gamma r_z) > r_x for r_z < 0, and by
    r_x > 0 for r_z = 0 (a ratio of plus infinity); infinite r need no other rule. A z whose r is NaN is
    counted for no x; an x whose r is NaN, or that is alone, has score NaN. A sort and two searches a model,
    O(N log N). Raises ValueError for gamma < 1.
    """
    if not gamma >= 1:
        raise ValueError(f"gamma: found {gamma}; RMIA's threshold is at least 1")
    with np.errstate(all="ignore"):
        ratios = np.asarray(target, dtype=np.float64) / prior
    found = np.empty_like(ratios)
    for row in np.ndindex(ratios.shape[:-1]):
        found[row] = _scores(ratios[row], gamma)
    return found


def _scores(r: np.ndarray, gamma: float) -> np.ndarray:
    order = np.argsort(r)
    r = r[order]  # NaN last; neighbours are searched for in turn, near each other in memory
    with np.errstate(over="ignore"):
        negative, positive = gamma * r[r < 0], gamma * r[r > 0]
    counts = np.searchsorted(positive, r, side="left")
    counts += len(negative) - np.searchsorted(negative, r, side="right")
    counts += np.where(r > 0, np.count_nonzero(r == 0), 0)
    found = np.empty_like(r)
    # x itself was never counted: gamma >= 1, so gamma r_x is on r_x's far side
    with np.errstate(invalid="ignore"):  # N = 1: 0 / 0
        found[order] = np.where(np.isnan(r), np.nan, counts / (len(r) - 1))
    return found
