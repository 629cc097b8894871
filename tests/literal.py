"""The paper's metrics by their definitions, in percent, with nothing of the package that they are compared with."""

import math

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import functional as F


def signals(logits: np.ndarray, labels: np.ndarray, temperature: float = 2.0, margin: float = 0.6) -> np.ndarray:
    """(N,) SM-Taylor-Softmax of the label of one model's (N, classes) logits, of order 4: four terms (Appendix C)."""
    found = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        scaled = [v / temperature - margin * (k == label) for k, v in enumerate(row)]
        tau = [sum(v**k / math.factorial(k) for k in range(4)) for v in scaled]
        found.append(tau[label] / sum(tau))
    return np.array(found)


def rmia(target: np.ndarray, references: np.ndarray, gamma: float) -> np.ndarray:
    """(N,) scores from (N,) signals and those of the (references, N) models: all pairs of two samples."""
    ratio = target / references.mean(axis=0)
    above = ratio[:, None] / ratio[None, :] > gamma
    return (above.sum(axis=1) - above.diagonal()) / (len(ratio) - 1)


def auc(members: np.ndarray, others: np.ndarray) -> float:
    return 100 * roc_auc_score([1] * len(members) + [0] * len(others), [*members, *others])


def accuracy(logits: np.ndarray, labels: np.ndarray, chosen: np.ndarray) -> float:
    return 100 * np.mean([row.argmax() == label for row, label in zip(logits[chosen], labels[chosen], strict=True)])


def mis(logits: np.ndarray, labels: np.ndarray, members: np.ndarray, others: np.ndarray, forget: np.ndarray) -> float:
    """The share of `forget` that the SVM on the confidence of the true class calls non-members."""
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence = shares[np.arange(len(labels)), labels][:, None]
    machine = SVC(C=3, gamma="auto", kernel="rbf")
    machine.fit(np.vstack([confidence[members], confidence[others]]), [1] * members.sum() + [0] * others.sum())
    return 100 * np.mean(machine.predict(confidence[forget]) == 0)


def judged(logits: np.ndarray, labels: np.ndarray, membership: np.ndarray, remain, forget, test) -> dict[str, float]:
    """Accuracies and AUCs of one model; the three sets are (N,) bool."""
    return {
        "unlearn_accuracy": accuracy(logits, labels, forget),
        "retain_accuracy": accuracy(logits, labels, remain),
        "test_accuracy": accuracy(logits, labels, test),
        "ft_auc": auc(membership[forget], membership[test]),
        "fr_auc": auc(membership[remain], membership[forget]),
        "rt_auc": auc(membership[remain], membership[test]),
    }


def small_resnet(tensors: dict[str, Tensor], images: Tensor, stem_stride: int, strides: list[int]) -> Tensor:
    """(n, classes) logits of (n, ...) images by one small_resnet with batch normalisation, from its saved tensors."""

    def layer(x: Tensor, convolution: str, norm: str, stride: int, padding: int = 1) -> Tensor:
        x = F.conv2d(x, tensors[f"{convolution}.weight"], stride=stride, padding=padding)
        running = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        return F.batch_norm(x, *running, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"])

    with torch.no_grad():
        x = layer(images, "0", "1", stem_stride).relu()
        for block, stride in enumerate(strides, start=3):
            kept = layer(x, f"{block}.shortcut.0", f"{block}.shortcut.1", stride, padding=0) if stride != 1 else x
            y = layer(x, f"{block}.conv1", f"{block}.norm1", stride).relu()
            x = (layer(y, f"{block}.conv2", f"{block}.norm2", 1) + kept).relu()
        last = len(strides) + 5
        return F.linear(x.mean(dim=(2, 3)), tensors[f"{last}.weight"], tensors[f"{last}.bias"])
