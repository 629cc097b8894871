"""U-LiRA (Hayes et al., 2024): can a sample that was unlearned be told from one that was never seen?

LiRA's references are models that were trained. U-LiRA's, the shadows, have gone through the same unlearning as the
model that is judged: of each sample, some were trained on it and made to forget it, others never saw it.
"""

import numpy as np

from amun_steps.judging import lira


def scores(target: np.ndarray, shadows: np.ndarray, forgotten: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(..., N) in [0, 1] of models with (..., N) log odds; the larger, the more likely unlearned than never seen.

    With Gaussians of each sample, u of the shadows that forgot it and o of those that never saw it, it is u / (u + o).
    shadows: (models, N) log odds of the shadows. forgotten, seen: (models, N) bool, which of them were made to forget
    which sample, and which were trained on it, forgotten or not. One shadow that diverged makes every score NaN.
    """
    unlearned, never = lira.fit(shadows, [forgotten, ~seen])
    with np.errstate(over="ignore"):  # far from both
        return 1 / (1 + np.exp(never.log_density(target) - unlearned.log_density(target)))
