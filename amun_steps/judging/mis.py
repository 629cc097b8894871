"""MIS: the SVM attack of the unlearning literature, in percent (paper, section 5.2 and Appendix G).

Its features are those of Yeom et al. (2018) and Song & Mittal (2021), its SVM that of Liu et al. (2024) and
Fan et al. (2024). The paper's MIS is the one by confidence.
"""

from collections.abc import Sequence

import numpy as np

BLOCK = 8192  # samples whose logits are in memory in float64 at once
FEATURES = ("correctness", "confidence", "entropy", "modified_entropy", "probabilities")


def features(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The FEATURES of finite (N, classes) logits and labels (N,): float64 (N,), `probabilities` (N, classes).

    Correctness is 0 or 1, entropies are in nats. Modified entropy is (Song & Mittal)

        -(1 - p_y) log p_y - sum of p_j log(1 - p_j) over j != y

    computed per row (the originals' code indexes all columns for every row), from log p and log(1 - p) that
    are exact where p rounds to 0 or 1 (the originals clip at 1e-30).
    """
    starts = range(0, max(1, len(labels)), BLOCK)
    parts = [_features(logits[start : start + BLOCK], labels[start : start + BLOCK]) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in FEATURES}


def _features(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    rows = np.arange(len(labels))
    log_not_p = _log_not(log_p)
    others = p * log_not_p
    others[rows, labels] = 0
    return {
        "correctness": (logits.argmax(axis=1) == labels).astype(np.float64),
        "confidence": p[rows, labels],
        "entropy": -(p * log_p).sum(axis=1),
        "modified_entropy": -np.exp(log_not_p[rows, labels]) * log_p[rows, labels] - others.sum(axis=1),
        "probabilities": p,
    }


def _log_not(log_p: np.ndarray) -> np.ndarray:
    """log(1 - p), from the other classes' mass where p is a row's largest: only there can 1 - p cancel."""
    top = log_p.argmax(axis=1)[:, None]
    rest = log_p.copy()
    np.put_along_axis(rest, top, -np.inf, axis=1)
    largest = rest.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # the largest may be 1, but is replaced
        found = np.log1p(-np.exp(log_p))
    np.put_along_axis(found, top, largest + np.log(np.exp(rest - largest).sum(axis=1, keepdims=True)), axis=1)
    return found


def mis(members: np.ndarray, non_members: np.ndarray, forget: np.ndarray) -> float:
    """The share of the forget set, in percent, that an SVM of members against non-members calls non-members.

    One feature of each set, (samples,) or (samples, classes). Raises ValueError for a set that is empty.
    """
    from sklearn.svm import SVC  # 0.9 s to import

    samples = np.concatenate([members, non_members]).reshape(len(members) + len(non_members), -1)
    truth = np.repeat([1, 0], [len(members), len(non_members)])
    # k equal samples are one of weight k: the same problem, and correctness at 2 x 10,000 in 5 ms, not 5 s
    _, first, count = np.unique(np.c_[samples, truth], axis=0, return_index=True, return_counts=True)
    order = first.argsort()  # as they came: the solver's rounding depends on it
    kept = first[order]
    machine = SVC(C=3, gamma="auto", kernel="rbf").fit(samples[kept], truth[kept], sample_weight=count[order])
    return 100 * float((machine.predict(forget.reshape(len(forget), -1)) == 0).mean())


def scores(
    logits: np.ndarray,
    labels: np.ndarray,
    remain: np.ndarray,
    forget: np.ndarray,
    test: np.ndarray,
    generator: np.random.Generator,
    *,
    names: Sequence[str] = FEATURES,
) -> dict[str, float]:
    """MIS in percent by each of the features `names`; NaN where any of the (N, classes) logits is not finite.

    `remain`, `forget` and `test` are numbers of samples, labels (N,). The SVM is trained on a random subset
    of D_R as large as the test set against the test set; where D_R is smaller, on all of it against a random
    subset of the test set of its size.
    """
    size = min(len(remain), len(test))
    members = generator.choice(remain, size, replace=False)
    others = test if len(test) == size else generator.choice(test, size, replace=False)
    if not np.isfinite(logits).all():
        return dict.fromkeys(names, float("nan"))
    found = [features(logits[rows], labels[rows]) for rows in (members, others, forget)]
    return {name: mis(*(of_set[name] for of_set in found)) for name in names}
