"""Images of one's own, in a folder for each class: train/CLASS/* and test/CLASS/*."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from amun_steps.datasets import Data, Sizes
from amun_steps.store.plugins import Size
from amun_steps.store.step import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def files(*, folder: str, size: Size, channels: int) -> dict[str, Path]:
    """All images in `folder` by their names, such as train/cat/1.png, sorted, training images first.

    Names that begin with a dot are passed over, as is what lies beside `train` and `test`. Raises InputError for
    anything else that is no image, for a class without training images, and where there are no test images.
    """
    root, found = Path(folder).expanduser(), {}
    for part in ("train", "test"):
        for kind in _inside(root / part):
            if not kind.name.isprintable():
                raise InputError(f"folder: {kind.path!r}: expected a class's name in UTF-8; give it another")
            for entry in _inside(Path(kind)):
                path = Path(entry)
                if path.suffix.lower() not in SUFFIXES or not entry.is_file() or not entry.name.isprintable():
                    raise InputError(
                        f"folder: {str(path)!r}: expected an image, a file {', '.join(SUFFIXES)}; take it away"
                    )
                found[f"{part}/{kind.name}/{entry.name}"] = path
    train, test = ({name.split("/")[1] for name in found if name.startswith(part)} for part in ("train/", "test/"))
    empty = {kind.name for part in ("train", "test") for kind in _inside(root / part)} - train
    if empty:
        raise InputError(f"folder: {root / 'train' / min(empty)}: found no images; a class needs some to be trained on")
    if len(train) < 2:
        raise InputError(f"folder: {root / 'train'}: found {len(train)} folders of classes, expected at least 2")
    if not test:
        raise InputError(f"folder: {root / 'test'}: found no images, expected those that models are tested on")
    return found


def sizes(*, folder: str, size: Size, channels: int) -> Sizes:
    """Those of `read`. Raises InputError as `files` does, and for channels that cannot be."""
    if channels not in (1, 3):
        raise InputError(f"channels: found {channels}, expected 1 (grey) or 3 (red, green, blue)")
    names = list(files(folder=folder, size=size, channels=channels))
    train = sum(name.startswith("train/") for name in names)
    kinds, tested = sorted({name.split("/")[1] for name in names}), {name.split("/")[1] for name in names[train:]}
    untested = tuple(number for number, kind in enumerate(kinds) if kind not in tested)
    return Sizes(train, len(names) - train, (channels, *size), len(kinds), untested, names)


def read(*, folder: str, size: Size, channels: int) -> Data:
    """The images, scaled to `size` (height, width) where they have another one, grey or in colours as `channels` says;
    class c is the c-th of the sorted names of the folders in `train`.

    Raises InputError for a file that is damaged or has more than 8 bits a channel.
    """
    shape = sizes(folder=folder, size=size, channels=channels).shape
    found = files(folder=folder, size=size, channels=channels)
    kinds = [name.split("/")[1] for name in found]
    classes = sorted(set(kinds))
    number = {kind: k for k, kind in enumerate(classes)}
    images = np.empty((len(found), *shape), np.uint8)
    for row, path in enumerate(found.values()):
        images[row] = _pixels(path, shape)
    train = np.array([name.startswith("train/") for name in found])
    return Data(images, np.array([number[kind] for kind in kinds]), train, list(found), classes)


def _inside(folder: Path) -> list[os.DirEntry]:
    """What is in a folder, sorted, without hidden files."""
    try:
        return sorted((entry for entry in os.scandir(folder) if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"folder: {folder}: {error.strerror}; expected a folder with train/CLASS/*.png and test/CLASS/*.png"
        ) from None


def _pixels(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """(channels, height, width) pixels of an image file."""
    channels, height, width = shape
    try:
        with Image.open(path) as image:
            mode = image.mode
            deep = mode[0] in "IF" or any(";16" in str(tile) for tile in image.tile)  # how a file's bytes are read
            pixels = image.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow makes of damage
        raise InputError(f"{path}: cannot be read as an image ({error}): damaged or partial") from None
    if deep:  # Pillow would cut values off
        raise InputError(f"{path}: found more than 8 bits a channel (Pillow's mode {mode}), expected 8; convert it")
    if pixels.size != (width, height):
        pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(pixels).reshape(height, width, channels).transpose(2, 0, 1)
