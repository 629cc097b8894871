"""Arrays of one's own, in one .npz or HDF5 file: `images` (N, channels, height, width), `labels` (N,) and `train` (N,).

Pixels are uint8, or of some floating type in [0, 1] and multiples of 1/255.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.datasets import Sizes
from amun_steps.store.step import InputError

NAMES = ("images", "labels", "train")
NO_ARRAYS = (TypeError, AttributeError, LookupError)  # what reading an HDF5 group or a single number as an array raises


def files(*, folder: str, file: str) -> dict[str, Path]:
    """The one file."""
    return {file: Path(folder).expanduser() / file}


def sizes(*, folder: str, file: str) -> Sizes:
    """Those of `read`, from labels, train and the header of images.

    Raises InputError for arrays that are no data set, and for a class without training images.
    """
    with _opened(folder, file) as arrays:
        (shape, kind), labels, train = _form(arrays, "images"), arrays["labels"][:], arrays["train"][:]

    def wrong(name: str, found: object, expected: str) -> InputError:
        return InputError(f"file: {Path(folder) / file}: found {name} {found}, expected {expected}")

    if len(shape) != 4 or (kind != np.uint8 and kind.kind != "f"):
        raise wrong("images", f"{shape} {kind}", "(N, channels, height, width) of uint8, or of floats in [0, 1]")
    if shape[1] > min(shape[2:]):
        raise wrong("images", shape, "channels before height and width: images.transpose(0, 3, 1, 2)")
    for name, array, kinds, type_ in (("labels", labels, "iu", "integers"), ("train", train, "b", "bool")):
        if array.shape != shape[:1] or array.dtype.kind not in kinds:
            missing = " with NaN" if array.dtype.kind == "f" and np.isnan(array).any() else ""
            raise wrong(name, f"{array.shape} {array.dtype}{missing}", f"{shape[:1]} {type_}, as there are images")
    if train.all() or not train.any():
        raise wrong("train", f"{bool(train.any())} for all images", "training images and test images")
    if labels.min() < 0 or labels.max() < 1:
        raise wrong("labels", f"from {labels.min()} to {labels.max()}", "classes from 0, at least 2")
    classes = int(labels.max()) + 1  # in labels' own type 255 + 1 may be 0
    without, untested = (sorted(set(range(classes)) - set(labels[part].tolist())) for part in (train, ~train))
    if without:
        raise wrong("labels", f"no training image of class {without[0]}", f"some of each from 0 to {classes - 1}")
    return Sizes(int(train.sum()), int((~train).sum()), tuple(map(int, shape[1:])), classes, tuple(untested))


def read(*, folder: str, file: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arrays, pixels as uint8. Raises InputError for pixels that are no shares of 255, such as NaN."""
    sizes(folder=folder, file=file)
    with _opened(folder, file) as arrays:
        images, labels, train = (arrays[name][:] for name in NAMES)
    if images.dtype == np.uint8:
        return images, labels, train
    whole = np.empty(images.shape, np.uint8)
    for row, image in enumerate(images):
        level = image.astype(np.float32) * 255
        wrong = ~(np.abs(level - np.clip(level, 0, 255).round()) < 0.2)  # NaN is wrong; float16 is 0.06 off at most
        if wrong.any():
            raise InputError(
                f"{Path(folder) / file}: found the pixel {image[wrong][0]} in images[{row}], expected multiples of"
                " 1/255 from 0 to 1: pixels are kept in 8 bits; round them, (images * 255).round().astype('uint8')"
            )
        whole[row] = level.round()
    return whole, labels, train


@contextmanager
def _opened(folder: str, file: str) -> Iterator[Mapping[str, Any]]:
    """The arrays of a file, which are read when they are asked for."""
    import h5py  # as long to import as what the plan needs beside it

    path = Path(folder).expanduser() / file
    try:
        if zipfile.is_zipfile(path):
            opened = np.load(path)
        elif h5py.is_hdf5(path):
            opened = h5py.File(path)
        else:
            found = "a file that is neither .npz nor HDF5" if path.is_file() else "no such file"
            raise InputError(f"file: {path}: found {found}")
        with opened as arrays:
            missing = [name for name in NAMES if name not in arrays]
            if missing:
                raise InputError(f"file: {path}: lacks {', '.join(missing)}; found {', '.join(arrays) or 'nothing'}")
            yield arrays
    except InputError:
        raise
    except (OSError, ValueError, *NO_ARRAYS, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"file: {path}: cannot be read ({error}): damaged, partial, or no arrays of numbers") from None


def _form(arrays: Mapping[str, Any], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and type of an array that is not read for it."""
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        return arrays[name].shape, arrays[name].dtype
    with arrays.zip.open(f"{name}.npy") as array:
        old = np.lib.format.read_magic(array) == (1, 0)
        shape, _, kind = (np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0)(array)
    return shape, kind
