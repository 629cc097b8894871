"""Arrays in HDF5 files."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amun_steps.store.step import InputError


@contextmanager
def hdf5(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file at `path`, to read. Raises InputError, naming it, when it, or an array in it, cannot be read."""
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, and it is made again") from None


@dataclass(frozen=True)
class Parts:
    """An array that is never in memory as a whole: its `shape`, float32, and its rows, some at a time."""

    shape: tuple[int, ...]
    rows: Iterable[np.ndarray]


def write_arrays(path: Path, arrays: dict[str, np.ndarray | Parts], **attributes: Any) -> None:
    """Write arrays as chunked HDF5 datasets with checksums; `attributes` go to the file's root."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if isinstance(array, Parts):
                written = file.create_dataset(name, array.shape, np.float32, chunks=True, fletcher32=True)
                end = 0
                for rows in array.rows:
                    written[end : end + len(rows)] = rows
                    end += len(rows)
            else:
                file.create_dataset(name, data=array, chunks=True, fletcher32=True)
        file.attrs.update(attributes)
