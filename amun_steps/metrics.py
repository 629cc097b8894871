"""Accuracies, areas under ROC curves and Avg. Gap, all in percent (paper, section 5.2). NaN means: it diverged."""

import numpy as np

GAP_METRICS = ("unlearn_accuracy", "retain_accuracy", "test_accuracy")
"""The metrics of an Avg. Gap besides the attack's: FT AUC or MIS."""


def accuracy(logits: np.ndarray, labels: np.ndarray, index: np.ndarray) -> float:
    """The share, in percent, of the samples `index` whose largest of (N, classes) logits is at its label (N,)."""
    chosen = logits[index]
    if not np.isfinite(chosen).all():
        return float("nan")
    return 100 * float((chosen.argmax(axis=-1) == labels[index]).mean())


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The area under the ROC curve, in percent, by the Mann-Whitney rule with ties at half."""
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        return float("nan")
    ordered = np.sort(negative)
    below, not_above = (np.searchsorted(ordered, positive, side=side) for side in ("left", "right"))
    return 100 * float((below + not_above).mean()) / (2 * len(negative))


def tpr_at_fpr(positive: np.ndarray, negative: np.ndarray, fpr: float) -> float:
    """The largest true positive rate, in percent, of a rule 'score >= t' whose false positive rate is at most `fpr`."""
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        return float("nan")
    allowed = int(np.floor(fpr * len(negative) + 1e-9))  # false positives; the sum guards 0.1 * 10 < 1
    if allowed >= len(negative):
        return 100.0
    # t must lie above the first negative that is one too many
    return 100 * float((positive > np.sort(negative)[::-1][allowed]).mean())


def average_gap(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Avg. Gap: the mean of |values - reference| over the last axis: unlearn, retain, test accuracy, FT AUC or MIS."""
    return np.abs(np.asarray(values) - reference).mean(axis=-1)
