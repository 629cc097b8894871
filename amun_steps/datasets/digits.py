"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels in 10 classes, real data inside its wheel."""

import math

import numpy as np

from amun_steps.datasets import Sizes
from amun_steps.store.step import InputError

SAMPLES, CLASSES = 1797, 10


def sizes(*, test_fraction: float, seed: int) -> Sizes:
    """Those of `read`'s split. Raises InputError for one that leaves a class without training or test images."""
    test = math.ceil(test_fraction * SAMPLES)
    if not CLASSES <= test <= SAMPLES - CLASSES:
        raise InputError(
            f"test_fraction: found {test_fraction}, which is {test} of {SAMPLES} images for testing; expected a share"
            f" that leaves at least {CLASSES}, one of each class, for testing and for training"
        )
    return Sizes(SAMPLES - test, test, (1, 8, 8), CLASSES)


def read(*, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images, their labels and a split, stratified by class, with `test_fraction` of the samples for testing."""
    from sklearn.datasets import load_digits  # a second to import
    from sklearn.model_selection import train_test_split

    sizes(test_fraction=test_fraction, seed=seed)
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    _, test = train_test_split(
        np.arange(len(images)), test_size=test_fraction, stratify=digits.target, random_state=seed
    )
    train = np.ones(len(images), dtype=bool)
    train[test] = False
    return images, digits.target, train
