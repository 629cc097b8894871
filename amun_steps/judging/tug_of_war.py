"""Tug-of-War (Zhao et al., 2024): forgetting, keeping and generalising in one number."""

import numpy as np


def tug_of_war(accuracies: np.ndarray, retrained: np.ndarray) -> float:
    """ToW: the product over D_F, D_R and the test set of 1 - |accuracy - that of retrained models|.

    Both (3,) shares in [0, 1]. From 0 to 1, which is a model as accurate as a retrained one on all three.
    """
    return float(np.prod(1 - np.abs(np.asarray(accuracies) - retrained)))
