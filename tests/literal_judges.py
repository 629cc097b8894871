"""Judges by their authors' formulas, one sample and one model at a time, with nothing of the package."""

import math

import numpy as np


def log_odds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) of one model's (N, classes) logits: log p_y - log of the other classes' probabilities (Carlini et al.)."""
    found = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        found.append(math.log(shares[label]) - math.log(sum(share for k, share in enumerate(shares) if k != label)))
    return np.array(found)


def density(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def lira(target: np.ndarray, references: np.ndarray, included: np.ndarray) -> np.ndarray:
    """(N,) the logarithm of the likelihood ratio; one variance within groups for fewer than 32 models of a kind."""
    groups = []
    for sample in range(len(target)):
        kinds = [[r[sample] for r, i in zip(references, included, strict=True) if i[sample] == kind] for kind in (1, 0)]
        groups.append(kinds)
    common = None
    if min(len(values) for kinds in groups for values in kinds) < 32:
        squares = [(x - np.mean(values)) ** 2 for kinds in groups for values in kinds for x in values]
        common = sum(squares) / len(squares)
    found = []
    for phi, kinds in zip(target, groups, strict=True):
        densities = [density(phi, np.mean(v), np.var(v) if common is None else common) for v in kinds]
        found.append(math.log(densities[0] / densities[1]))
    return np.array(found)


def epsilon(unlearned: list[float], retrained: list[float]) -> float:
    """Of one sample: thresholds on grids of steps of at most 0.01, as in the challenge's evaluation."""
    delta, steps, buffer = 1e-5, 100, 2.0

    def reach(values):
        return max(values) - min(values)

    if min(reach(unlearned), reach(retrained)) / max(reach(unlearned), reach(retrained)) < 0.01:
        return 50.0
    rates = []
    positive, negative = unlearned, retrained
    if np.median(retrained) > np.median(unlearned):
        positive, negative = retrained, unlearned
    low, high = min(positive + negative), max(positive + negative)
    for t in np.linspace(low, high, math.ceil((high - low) * steps)):
        rates.append((np.mean([c >= t for c in negative]), np.mean([c < t for c in positive])))
    width, peaked, other = reach(unlearned), unlearned, retrained
    if reach(unlearned) > reach(retrained):
        width, peaked, other = reach(retrained), retrained, unlearned
    low, high = min(peaked) + width - buffer, max(peaked) + buffer
    peaked, other = np.array(peaked), np.array(other)
    for right in np.linspace(low, high, math.ceil((high - low) * steps)):
        left = np.linspace(right - width - buffer, right - width + buffer, math.ceil(2 * buffer * steps))[:, None]
        inside = [((left <= c) & (c <= right)).mean(axis=1) for c in (other, peaked)]
        rates += list(zip(inside[0], 1 - inside[1], strict=True))
    epsilons = []
    for fpr, fnr in set(rates):
        if fpr == 0 and fnr == 0:
            epsilons.append(math.inf)
        elif fpr > 0 and fnr > 0:
            pairs = [(1 - delta - fpr, fnr), (1 - delta - fnr, fpr)]
            values = [math.log(share) - math.log(rate) for share, rate in pairs if share > 0]
            epsilons += [max(max(values), 0)] if values else []
    return min(max(epsilons), 50.0)


def points(epsilon: float, models: int) -> float:
    """1 in [0, 0.5), 1/2 in [0.5, 1) and so on, as long as the end is no more than ceil(log(models - 1))."""
    start, worth = 0.0, 1.0
    while start + 0.5 <= math.ceil(math.log(models - 1)):
        if epsilon < start + 0.5:
            return worth
        start, worth = start + 0.5, worth / 2
    return 0.0


def klom(unlearned: list[float], retrained: list[float]) -> float:
    """Of one sample; the last of the 20 bins has its upper end."""
    unlearned, retrained = ([min(max(m, -100), 100) for m in margins] for margins in (unlearned, retrained))
    low, high = min(unlearned + retrained), max(unlearned + retrained)
    edges = np.linspace(low, high if high > low else low + 1, 21)
    p, q = (np.histogram(margins, edges)[0] / len(margins) for margins in (unlearned, retrained))
    q = [max(b, 1e-5) if a > 0 else b for a, b in zip(p, q, strict=True)]
    return sum(a * math.log(a / (b / sum(q))) for a, b in zip(p, q, strict=True) if a > 0)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Of two distributions over classes."""
    middle = (p + q) / 2
    return sum(sum(a * math.log(a / m) for a, m in zip(of, middle, strict=True) if a > 0) for of in (p, q)) / 2


def u_lira(target: float, unlearned: list[float], never: list[float], variances: tuple[float, float]) -> float:
    """Of one sample: N(phi; u) / (N(phi; u) + N(phi; o))."""
    densities = [density(target, np.mean(v), s) for v, s in zip((unlearned, never), variances, strict=True)]
    return densities[0] / sum(densities)
