"""LiRA (Carlini et al., 2022), online: is a sample a member of a model's training set?

Reference models that were trained on the sample say what a member's log odds are like, the others what a non-member's
are. Each is taken for a Gaussian of that sample's own; a score is the logarithm of the ratio of their densities.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

FEW = 32
"""Of fewer models of a kind no sample's own variance is estimated, but one for all samples, as the authors do where
models are few; then the order of scores does not depend on it. Half of 64 reference models are this many."""

LEAST = 1e-30
"""Added to standard deviations, as in the authors' code: of models that all say the same."""


@dataclass(frozen=True)
class Gaussians:
    """What models of one kind say of each sample. mean, std: (N,) of their log odds."""

    mean: np.ndarray
    std: np.ndarray

    def log_density(self, log_odds: np.ndarray) -> np.ndarray:
        """(..., N) the logarithm of the density at (..., N) log odds."""
        return norm.logpdf(log_odds, self.mean, self.std)


def fit(log_odds: np.ndarray, groups: Sequence[np.ndarray]) -> list[Gaussians]:
    """The Gaussians of each of `groups`, (models, N) bool: which of the (models, N) log odds are of it.

    With FEW models or more in each, the variance is each group's and sample's own (over n); with fewer anywhere, all
    have the mean variance within groups and samples. Raises ValueError where a group has no model for some sample.
    """
    means, squares, counts = [], [], []
    for of in groups:
        count = of.sum(axis=0)
        if not count.all():
            raise ValueError(f"sample {count.argmin()}: found no model to fit a Gaussian to; take more references")
        mean = np.where(of, log_odds, 0).sum(axis=0) / count
        means.append(mean)
        squares.append((np.where(of, log_odds - mean, 0) ** 2).sum(axis=0))
        counts.append(count)
    variances = [square / count for square, count in zip(squares, counts, strict=True)]
    if np.min(counts) < FEW:
        variances = [np.full_like(v, np.sum(squares) / np.sum(counts)) for v in variances]
    return [Gaussians(mean, np.sqrt(v) + LEAST) for mean, v in zip(means, variances, strict=True)]


def scores(target: np.ndarray, references: np.ndarray, included: np.ndarray) -> np.ndarray:
    """(..., N) LiRA scores of models with (..., N) log odds; the larger, the more likely a member.

    references: (models, N) log odds of the reference models. included: (models, N) bool, which of them were trained on
    which sample. One reference that diverged makes every score NaN.
    """
    members, others = fit(references, [included, ~included])
    return members.log_density(target) - others.log_density(target)
