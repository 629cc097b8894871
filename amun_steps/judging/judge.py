"""What is measured of one model and one forget set: accuracies and RMIA (paper, section 5.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.judging import rmia
from amun_steps.judging.metrics import accuracy, auc, tpr_at_fpr
from amun_steps.store.arrays import hdf5


@dataclass(frozen=True)
class Judge:
    """What every model is judged by: RMIA's prior Pr(x) of N samples, the labels and which samples are for training.

    prior: (N,). labels: (N,) int. train: (N,) bool. signal: parameters of `rmia.signal`. gamma: RMIA's threshold.
    """

    prior: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    signal: dict[str, Any]
    gamma: float

    def membership(self, logits: np.ndarray) -> np.ndarray:
        """(..., N) RMIA scores of models with (..., N, classes) logits: the larger, the more likely a member."""
        return rmia.scores(rmia.signal(logits, self.labels, **self.signal), self.prior, self.gamma)

    def metrics(
        self, logits: np.ndarray, membership: np.ndarray, forget: np.ndarray, remain: np.ndarray | None = None
    ) -> dict[str, float]:
        """Of one model, in percent: (N, classes) logits, (N,) RMIA scores, `forget` and `remain` (N,) bool; D_R is all
        other training samples where it is not given."""
        remain, test = self.train & ~forget if remain is None else remain, ~self.train
        in_forget, in_remain, in_test = membership[forget], membership[remain], membership[test]
        return {
            "unlearn_accuracy": accuracy(logits, self.labels, forget),
            "retain_accuracy": accuracy(logits, self.labels, remain),
            "test_accuracy": accuracy(logits, self.labels, test),
            "ft_auc": auc(in_forget, in_test),
            "fr_auc": auc(in_remain, in_forget),
            "rt_auc": auc(in_remain, in_test),
            "tpr_at_1_fpr": tpr_at_fpr(in_forget, in_test, 0.01),
            "tpr_at_0.1_fpr": tpr_at_fpr(in_forget, in_test, 0.001),
        }


def load_judge(dataset: Path, signals: Path, signal: dict[str, Any], gamma: float) -> Judge:
    """The judge from a dataset's file and the file of the reference models' signals."""
    with hdf5(dataset) as file:
        labels, train = file["labels"][:].astype(np.int64), file["train"][:]
    with hdf5(signals) as file:
        prior = rmia.prior(file["signals"][:])
    return Judge(prior, labels, train, signal, gamma)
