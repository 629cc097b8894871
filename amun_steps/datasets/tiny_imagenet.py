"""Tiny ImageNet: 100,000 training and 10,000 validation images, 64x64 pixels, 200 classes (Le & Yang, 2015).

The validation images are the test samples: the labels of the real test images were never published.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from amun_steps.datasets import Sizes
from amun_steps.store.step import InputError

NAME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{NAME}.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
CLASSES, TRAIN_PER_CLASS, TEST_PER_CLASS = 200, 500, 50


def sizes(*, folder: str) -> Sizes:
    """Tiny ImageNet's."""
    return Sizes(CLASSES * TRAIN_PER_CLASS, CLASSES * TEST_PER_CLASS, (3, 64, 64), CLASSES)


def read(*, folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images and labels in `folder`: tiny-imagenet-200 or tiny-imagenet-200.zip, read as it is.

    Where there is neither, the zip file is downloaded; its MD5 is verified. Class c is the c-th of the sorted WordNet
    numbers; the few grey images have three equal channels.
    """
    names, content = _files(Path(folder).expanduser())
    train = sorted(n for n in names if n.startswith(f"{NAME}/train/") and n.endswith(".JPEG"))
    table = f"{NAME}/val/val_annotations.txt"
    if table not in names:
        raise InputError(f"{folder}/{table}: not there, though it says the class of every validation image")
    lines = [line.split("\t") for line in content(table).decode(errors="replace").splitlines() if "\t" in line]
    test = {f"{NAME}/val/images/{line[0]}": line[1] for line in lines}
    missing = sorted(set(test) - names)
    if missing:
        raise InputError(f"{folder}/{missing[0]}: not there: {len(missing)} of {len(test)} validation images missing")
    wordnet = [name.split("/")[2] for name in train] + list(test.values())
    _check_counts(folder, Counter(wordnet[: len(train)]), Counter(test.values()))
    number = {name: k for k, name in enumerate(sorted(set(wordnet)))}
    images = np.empty((len(wordnet), 3, 64, 64), np.uint8)
    for row, name in enumerate([*train, *test]):
        images[row] = _pixels(f"{folder}/{name}", content(name))
    return images, np.array([number[w] for w in wordnet]), np.arange(len(wordnet)) < len(train)


def _files(folder: Path) -> tuple[set[str], Callable[[str], bytes]]:
    """The names of all files, relative to `folder`, and how to read one."""
    from torchvision.datasets.utils import check_integrity, download_url  # seconds to import

    if (folder / NAME).is_dir():
        paths = {p.relative_to(folder).as_posix() for p in (folder / NAME).rglob("*") if p.is_file()}
        return paths, lambda name: (folder / name).read_bytes()
    archive = folder / f"{NAME}.zip"
    if not archive.is_file():
        try:
            download_url(URL, folder, md5=MD5)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{folder}: Tiny ImageNet is not there and cannot be downloaded ({error}): put {NAME}.zip, or the"
                f" folder {NAME} that is in it, there"
            ) from None
    if not check_integrity(archive, MD5):
        raise InputError(f"{archive}: corrupt or partial ({archive.stat().st_size} bytes): delete it")
    opened = zipfile.ZipFile(archive)
    return set(opened.namelist()), opened.read


def _check_counts(folder: str, train: Counter, test: Counter) -> None:
    if len(train) != CLASSES:
        raise InputError(f"{folder}/{NAME}/train: found {len(train)} classes with images, expected {CLASSES}")
    for part, found, expected in (("train", train, TRAIN_PER_CLASS), ("val", test, TEST_PER_CLASS)):
        for name in sorted(set(train) | set(test)):
            if found[name] != expected:
                raise InputError(
                    f"{folder}/{NAME}/{part}: found {found[name]} images of class {name}, expected {expected}:"
                    f" delete the folder, and unpack {NAME}.zip again"
                )


def _pixels(path: str, content: bytes) -> np.ndarray:
    """(3, 64, 64) pixels of a JPEG file."""
    try:
        pixels = np.asarray(Image.open(io.BytesIO(content), formats=["JPEG"]).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow makes of damage
        raise InputError(f"{path}: cannot be read as an image ({error}): corrupt or partial") from None
    if pixels.shape != (64, 64, 3):
        raise InputError(f"{path}: found an image of {pixels.shape[1]}x{pixels.shape[0]} pixels, expected 64x64")
    return pixels.transpose(2, 0, 1)
