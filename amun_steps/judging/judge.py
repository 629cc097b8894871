"""What is measured of one model and one forget set: accuracies and RMIA (paper, section 5.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
        self,
        logits: np.ndarray,
        membership: np.ndarray,
        forget: np.ndarray,
        *,
        remain: np.ndarray | None = None,
        alike: np.ndarray | None = None,
    ) -> dict[str, float]:
        """Of one model, in percent: (N, classes) logits, (N,) RMIA scores, `forget`, `remain` and `alike` (N,) bool.

        remain: D_R; all other training samples where it is not given. alike: the test samples that D_F is told from,
        those of its classes where it is whole classes; all where it is not given.
        """
        remain, test = self.train & ~forget if remain is None else remain, ~self.train
        in_forget, in_remain, in_test = membership[forget], membership[remain], membership[test]
        in_alike = in_test if alike is None else membership[alike]
        return {
            "unlearn_accuracy": accuracy(logits, self.labels, forget),
            "retain_accuracy": accuracy(logits, self.labels, remain),
            "test_accuracy": accuracy(logits, self.labels, test),
            **({} if alike is None else self._by_class(logits, test & alike, test & ~alike)),
            "ft_auc": auc(in_forget, in_alike),
            "fr_auc": auc(in_remain, in_forget),
            "rt_auc": auc(in_remain, in_test),
            "tpr_at_1_fpr": tpr_at_fpr(in_forget, in_alike, 0.01),
            "tpr_at_0.1_fpr": tpr_at_fpr(in_forget, in_alike, 0.001),
        }

    def _by_class(self, logits: np.ndarray, forgotten: np.ndarray, others: np.ndarray) -> dict[str, float]:
        """Test accuracy on the classes that are forgotten and on the others; NaN where no whole class is forgotten."""
        parts = {"forgotten_class_accuracy": forgotten, "other_class_accuracy": others}
        return {name: accuracy(logits, self.labels, of) if others.any() else np.nan for name, of in parts.items()}


def load_judge(
    dataset: Path, signals: Path, signal: dict[str, Any], gamma: float, judges: Literal["all", "half"] = "all"
) -> Judge:
    """The judge from a dataset's file and the file of the reference models' signals.

    judges: all references, or the second half of them, where the first one chose what is forgotten.
    """
    with hdf5(dataset) as file:
        labels, train = file["labels"][:].astype(np.int64), file["train"][:]
    with hdf5(signals) as file:
        if judges == "all":
            prior = rmia.prior(file["signals"][:])
        else:
            half = len(file["signals"]) // 2
            prior = rmia.unbalanced_prior(file["signals"][half:], file["included"][half:])
    return Judge(prior, labels, train, signal, gamma)
