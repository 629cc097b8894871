"""RMIA's scores by sorting, against all pairs compared at once, in one run.

    python benchmarks/rmia.py

The comparison of all pairs is NumPy's, a row at a time; a Python loop over pairs would be slower still.
"""

import time

import numpy as np

from amun_steps.judging import rmia


def all_pairs(target: np.ndarray, prior: np.ndarray, gamma: float) -> np.ndarray:
    """The definition for positive ratios, N^2 comparisons."""
    ratios = target / prior
    return np.array([(gamma * ratios < r).sum() for r in ratios]) / (len(ratios) - 1)


def seconds(function, *arguments) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        function(*arguments)
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    print(f"{'samples':>8} {'sorting':>9} {'all pairs':>10} {'ratio':>7}")
    for samples in (1_797, 20_000, 60_000):
        target, prior = generator.random(samples), generator.random(samples)
        assert np.array_equal(rmia.scores(target, prior, 2.0), all_pairs(target, prior, 2.0))
        fast, slow = seconds(rmia.scores, target, prior, 2.0), seconds(all_pairs, target, prior, 2.0)
        print(f"{samples:>8} {fast:>8.4f}s {slow:>9.4f}s {slow / fast:>7.0f}")
