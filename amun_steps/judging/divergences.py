"""How far what unlearned models say of samples is from what retrained ones say, in nats."""

import numpy as np
from scipy.special import rel_entr, softmax
from scipy.stats import entropy

BINS = 20
CLIP = 100.0
EMPTY = 1e-5
"""KLoM's bins of a sample's margins, the largest margin that counts, and the share of retrained models that is put into
a bin where there are none but unlearned ones are (Georgiev et al., 2024, and their code)."""


def klom(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """(N,) KL divergence of margins of (models, N) unlearned models from (models, N) retrained ones.

    A margin is a sample's log odds. For each sample the joint range is cut into BINS equal bins, and KLoM is
    KL(unlearned || retrained) of the shares of models in each. From 0 to about 11.5, which is log(1 / EMPTY): no bin in
    common. The authors' code leaves the largest margin out of every sample's shares; here it is in the last bin.

    The models may be of two numbers; the authors have 100 of each. Few ones seldom share a bin, whatever they were
    drawn from: 9 and 3 models of one Gaussian have 8.1 in the mean, 10 and 10 have 5.7, 100 and 100 have 0.3.
    """
    unlearned, retrained = np.clip(unlearned, -CLIP, CLIP), np.clip(retrained, -CLIP, CLIP)
    low = np.minimum(unlearned.min(axis=0), retrained.min(axis=0))
    width = np.maximum(unlearned.max(axis=0), retrained.max(axis=0)) - low
    width = np.where(width > 0, width, 1.0)
    p, q = (_shares(of, low, width) for of in (unlearned, retrained))
    return entropy(p, np.where(p > 0, np.maximum(q, EMPTY), q), axis=-1)  # which takes both to a sum of 1


def _shares(margins: np.ndarray, low: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(N, BINS) the share of (models, N) margins in each bin."""
    bins = np.minimum((margins - low) / width * BINS, BINS - 1).astype(int)
    return np.stack([(bins == number).mean(axis=0) for number in range(BINS)], axis=-1)


def jensen_shannon(logits: np.ndarray, retrained: np.ndarray) -> float:
    """The Jensen-Shannon divergence of a model's outputs from those of retrained models: the mean over samples and over
    retrained models of JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2.

    logits: (n, classes) of D_F. retrained: (models, n, classes) of the same samples. From 0 to log 2. Chundawat et al.
    (2023) and Spartalis et al. (2025) have one retrained model; the latter's code takes KL(m || p) and KL(m || q), and
    their mean over the classes, too.
    """
    p, q = softmax(logits.astype(np.float64), axis=-1), softmax(retrained.astype(np.float64), axis=-1)
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1).mean() / 2)
