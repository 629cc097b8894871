"""How sure a model is of a sample's label: the statistic of LiRA, U-LiRA, the challenge's epsilon and KLoM."""

import numpy as np
from scipy.special import logsumexp


def log_odds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(..., N) float64 log p_y - log(1 - p_y) of the label (N,) among (..., N, classes) logits.

    It is l_y - log of the sum of exp(l_j) over j != y, which is exact where p_y rounds to 0 or 1: the scaled confidence
    of Carlini et al. (2022), the margin of Georgiev et al. (2024). Logits that are not finite give NaN for their own
    sample and for no other.
    """
    others = np.asarray(logits, dtype=np.float64).copy()
    true = np.broadcast_to(labels[:, None], (*others.shape[:-1], 1))
    of_label = np.take_along_axis(others, true, axis=-1)[..., 0]
    finite = np.isfinite(others).all(axis=-1)
    np.put_along_axis(others, true, -np.inf, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(finite, of_label - logsumexp(others, axis=-1), np.nan)
