"""Accuracies, areas under ROC curves and Avg. Gap, all in percent (paper, section 5.2).

NaN means: it diverged. No set of samples may be empty.
"""

import numpy as np

GAP_METRICS = ("unlearn_accuracy", "retain_accuracy", "test_accuracy")
"""The metrics of an Avg. Gap besides the attack's: FT AUC or MIS."""


def accuracy(logits: np.ndarray, labels: np.ndarray, index: np.ndarray) -> float:
    """The share, in percent, of samples `index` whose (N, classes) logits are largest at their label (N,).

    `index` is numbers of samples or a mask (N,). NaN where any of the logits, of these samples or not, is not
    finite.
    """
    if not np.isfinite(logits).all():
        return float("nan")
    return 100 * float((logits.argmax(axis=-1)[index] == labels[index]).mean())


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The area under the ROC curve of scores, in percent, by the Mann-Whitney rule with ties at half.

    O(n log n). NaN where any score is not finite.
    """
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        return float("nan")
    ordered = np.sort(negative)
    below, not_above = (np.searchsorted(ordered, positive, side=side) for side in ("left", "right"))
    return 100 * float((below + not_above).mean()) / (2 * len(negative))


def tpr_at_fpr(positive: np.ndarray, negative: np.ndarray, fpr: float) -> float:
    """The largest true positive rate, in percent, of a rule 'score >= t' with a false positive rate <= `fpr`.

    `fpr` is a share in [0, 1]; t = infinity, which accepts nothing, is a rule too. NaN where any score is not
    finite.
    """
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        return float("nan")
    allowed = np.count_nonzero(np.arange(1, len(negative) + 1) / len(negative) <= fpr)  # false positives
    # t must lie above the first negative that is one too many
    too_many = np.append(np.sort(negative)[::-1], -np.inf)[allowed]
    return 100 * float((positive > too_many).mean())


def ties(scores: np.ndarray) -> float:
    """The share, in percent, of samples that have the most frequent of their scores: where it is large, AUCs say
    little. NaN where any score is NaN."""
    if np.isnan(scores).any():
        return float("nan")
    return 100 * (np.unique(scores, return_counts=True)[1].max() / len(scores))


def average_gap(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Avg. Gap in percent (...): the mean over the last axis of |values - reference|, of shape (..., 4).

    The last axis is unlearn, retain and test accuracy, and FT AUC or MIS; `reference` is the retrained
    models' mean.
    """
    return np.abs(np.asarray(values) - reference).mean(axis=-1)
