"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels in 10 classes, real data inside its wheel."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def read(*, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images, their labels and a split, stratified by class, with `test_fraction` of the samples for testing."""
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    _, test = train_test_split(
        np.arange(len(images)), test_size=test_fraction, stratify=digits.target, random_state=seed
    )
    train = np.ones(len(images), dtype=bool)
    train[test] = False
    return images, digits.target, train
