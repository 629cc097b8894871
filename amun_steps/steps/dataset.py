"""Step: a dataset as one HDF5 file, and its reader.

The file has `images` (N, channels, height, width) uint8, `labels` (N,) int16 and `train` (N,) bool, training samples
first; row n is sample n everywhere in this project. Where samples or classes have names, they are in `names` (N,) and
`class_names` (classes,), UTF-8. Images are pixels / 255 in [0, 1]: neither the paper nor its code normalises further.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from amun_steps.datasets import Data
from amun_steps.store.arrays import write_arrays
from amun_steps.store.content import digest
from amun_steps.store.step import InputError, Output, main, step


@step
def dataset(
    *, source: str, parameters: dict[str, Any], folder: str = "", content: str | None = None, output: Output
) -> None:
    """Read a data set from `source`, a module of `amun_steps.datasets`, and write it as HDF5.

    folder: where its files lie, for a source that has files. content: what they were when the address was made, for
    somebody's own. Raises InputError where they are not that now, and where a reader gives something else.
    """
    given = parameters | ({"folder": folder} if folder else {})
    reader = importlib.import_module(f"amun_steps.datasets.{source}")
    try:
        found = Data(*reader.read(**given))
    except OSError as error:  # a file that one may not read, for one
        raise InputError(f"{error.filename or folder or source}: cannot be read ({error.strerror or error})") from None
    _check(reader.__file__, found.images, found.labels, found.train)
    if content and digest(reader.files(**given), cached=False) != content:
        raise InputError(
            f"{folder}: its files are not those that this run of the workflow was planned with: some were added,"
            " removed or changed since; start the same command again"
        )
    order = np.argsort(~found.train, kind="stable")
    arrays = {"images": found.images, "labels": found.labels.astype(np.int16), "train": found.train}
    if found.names:
        arrays["names"] = _text(found.names)
    arrays = {name: array[order] for name, array in arrays.items()}
    if found.classes:
        arrays["class_names"] = _text(found.classes)
    write_arrays(output, arrays)


def _text(names: Sequence[str]) -> np.ndarray:
    """Names as HDF5 keeps them with a checksum: UTF-8 of one length."""
    encoded = [name.encode() for name in names]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded))))


def _check(reader: str, images: np.ndarray, labels: np.ndarray, train: np.ndarray) -> None:
    """Raise InputError unless a reader's arrays are what `dataset` writes."""
    count, most = len(images), np.iinfo(np.int16).max
    for name, good, wanted in (
        ("images", images.dtype == np.uint8 and images.ndim == 4, "(N, channels, height, width) uint8"),
        ("images", images.ndim != 4 or images.shape[1] <= min(images.shape[2:]), "channels before height and width"),
        ("labels", labels.shape == (count,) and labels.dtype.kind in "iu", f"({count},) integers"),
        ("labels", labels.min(initial=0) >= 0 and labels.max(initial=0) <= most, f"classes from 0 to {most}"),
        ("train", train.shape == (count,) and train.dtype == bool, f"({count},) bool"),
        ("train", train.any() and not train.all(), "training samples and test samples"),
    ):
        if not good:
            array = {"images": images, "labels": labels, "train": train}[name]
            found = f"{array.shape} {array.dtype} from {array.min(initial=0)} to {array.max(initial=0)}"
            raise InputError(f"{reader}: read() gave {name} {found}, expected {wanted}")


if __name__ == "__main__":
    main(dataset)
