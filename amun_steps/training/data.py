"""A data set as steps have it in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amun_steps.store.arrays import hdf5


@dataclass(frozen=True)
class Dataset:
    """images: (N, channels, height, width) uint8. labels: (N,) int64. train: (N,) bool, False for test samples."""

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def test(self) -> np.ndarray:
        """(N,) bool: the test samples."""
        return ~self.train


def load(path: Path) -> Dataset:
    """The dataset in the HDF5 file at `path`."""
    with hdf5(path) as file:
        return Dataset(file["images"][:], file["labels"][:].astype(np.int64), file["train"][:])


def load_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Only `labels` and `train` of the HDF5 file at `path`, for steps that need no images."""
    with hdf5(path) as file:
        return file["labels"][:].astype(np.int64), file["train"][:]
