"""MIS: the SVM-based attack of the unlearning literature (Song & Mittal, 2021; Liu et al., 2024; Fan et al., 2024)."""

import numpy as np


def features(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The five scores, by name, of (N, classes) logits: (N,) each, but `probabilities` is (N, classes).

    Modified entropy is computed per row; the originals' code indexes all columns for every row.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    rows = np.arange(len(labels))
    # log(1 - p_j) from the other classes' mass, which does not cancel where p_j rounds to 1
    with np.errstate(divide="ignore"):
        log_not_p = np.log(np.maximum(p.sum(axis=1, keepdims=True) - p, np.finfo(np.float64).tiny))
    wrong = p * log_not_p
    wrong[rows, labels] = 0
    return {
        "correctness": (logits.argmax(axis=1) == labels).astype(np.float64),
        "confidence": p[rows, labels],
        "entropy": -(p * log_p).sum(axis=1),
        "modified_entropy": -(1 - p[rows, labels]) * log_p[rows, labels] - wrong.sum(axis=1),
        "probabilities": p,
    }


def mis(members: np.ndarray, non_members: np.ndarray, forget: np.ndarray) -> float:
    """The share of the forget set, in percent, that an SVM trained on members against non-members calls non-members."""
    from sklearn.svm import SVC  # 0.9 s to import

    training, questions = (
        np.concatenate(part).reshape(sum(map(len, part)), -1) for part in ((members, non_members), (forget,))
    )
    truth = np.repeat([1, 0], [len(members), len(non_members)])
    machine = SVC(C=3, gamma="auto", kernel="rbf").fit(training, truth)
    return 100 * float((machine.predict(questions) == 0).mean())


def scores(
    logits: np.ndarray,
    labels: np.ndarray,
    remain: np.ndarray,
    forget: np.ndarray,
    test: np.ndarray,
    generator: np.random.Generator,
) -> dict[str, float]:
    """MIS by each of the five features, for samples given by number; NaN for logits that are not finite.

    The SVM is trained on a random subset of D_R as large as the test set (of both, as many as the smaller one has).
    """
    size = min(len(remain), len(test))
    members = generator.choice(remain, size, replace=False)
    others = test if len(test) == size else generator.choice(test, size, replace=False)
    if not np.isfinite(logits).all():
        return dict.fromkeys(
            ("correctness", "confidence", "entropy", "modified_entropy", "probabilities"), float("nan")
        )
    found = features(logits, labels)
    return {name: mis(f[members], f[others], f[forget]) for name, f in found.items()}
