"""Step: a dataset as one HDF5 file, and its reader.

The file has `images` (N, channels, height, width) uint8, `labels` (N,) int16 and `train` (N,) bool, training samples
first; row n is sample n everywhere in this project. Images are pixels / 255 in [0, 1]: neither the paper nor its code
normalises further.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amun_steps.steps import Output, main, step


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
    with h5py.File(path) as file:
        return Dataset(file["images"][:], file["labels"][:].astype(np.int64), file["train"][:])


def load_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Only `labels` and `train` of the HDF5 file at `path`, for steps that need no images."""
    with h5py.File(path) as file:
        return file["labels"][:].astype(np.int64), file["train"][:]


def write_arrays(path: Path, arrays: dict[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays as chunked HDF5 datasets with checksums; `attributes` go to the file's root."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=True, fletcher32=True)
        file.attrs.update(attributes)


@step
def dataset(*, source: str, parameters: dict[str, Any], folder: str = "", output: Output) -> None:
    """Read a data set from `source`, a module of `amun_steps.datasets`, and write it as HDF5.

    folder: where its files lie, for a source that has files.
    """
    given = parameters | ({"folder": folder} if folder else {})
    images, labels, train = importlib.import_module(f"amun_steps.datasets.{source}").read(**given)
    order = np.argsort(~train, kind="stable")
    write_arrays(output, {"images": images[order], "labels": labels[order].astype(np.int16), "train": train[order]})


if __name__ == "__main__":
    main(dataset)
