"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in 10 classes (Krizhevsky, 2009)."""

import numpy as np
from torchvision.datasets import CIFAR10


def read(*, folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images and labels in `folder`, where the archive or its unpacked form lies, or is downloaded to.

    torchvision verifies every checksum. Raises FileNotFoundError without a whole copy and without a network.
    """
    try:
        parts = [CIFAR10(folder, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"{folder}: found no whole copy of CIFAR-10 and could not download it ({error}); put"
            " cifar-10-python.tar.gz, or the folder cifar-10-batches-py that is in it, there"
        ) from error
    images = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
    labels = np.concatenate([part.targets for part in parts])
    return images, labels, np.repeat([True, False], [len(part) for part in parts])
