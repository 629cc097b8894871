"""Fashion-MNIST: 60,000 training and 10,000 test images, grey, 28x28 pixels, 10 classes (Xiao et al., 2017)."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from amun_steps.datasets import Sizes
from amun_steps.store.step import InputError

TRAIN, TEST = 60_000, 10_000

FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of each file's unpacked bytes: Debian packs them anew, so the packed ones differ."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def sizes(*, folder: str, train_samples: int | None = None, test_samples: int | None = None) -> Sizes:
    """Those of `read`. Raises InputError for more samples than there are."""
    for name, wanted, most in (("train_samples", train_samples, TRAIN), ("test_samples", test_samples, TEST)):
        if wanted is not None and wanted > most:
            raise InputError(f"{name}: found {wanted}, expected at most {most}: Fashion-MNIST has no more")
    return Sizes(train_samples or TRAIN, test_samples or TEST, (1, 28, 28), 10)


def read(
    *, folder: str, train_samples: int | None = None, test_samples: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first `train_samples` training and `test_samples` test images (all, when None) and their labels.

    The four files, packed or not, are looked for in `folder`, in torchvision's folder in it and in Debian's package
    `dataset-fashion-mnist`, in this order; where there is none of them, torchvision downloads them to `folder`.
    """
    sizes(folder=folder, train_samples=train_samples, test_samples=test_samples)
    root = Path(folder).expanduser()
    places = (root, root / "FashionMNIST" / "raw", DEBIAN)
    place = next((p for p in places if any(_file(p, name) for name in FILES)), None) or _download(root)
    content = {name: _content(place, name) for name in FILES}
    images, labels, train = [], [], []
    for part, wanted in (("train", train_samples), ("t10k", test_samples)):
        label = np.frombuffer(content[f"{part}-labels-idx1-ubyte"], np.uint8, offset=8)
        image = np.frombuffer(content[f"{part}-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 1, 28, 28)
        images.append(image[:wanted])
        labels.append(label[:wanted])
        train.append(np.full(len(labels[-1]), part == "train"))
    return np.concatenate(images), np.concatenate(labels), np.concatenate(train)


def _file(place: Path, name: str) -> Path | None:
    """The file, unpacked or packed, in a folder; None where it is not there."""
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _content(place: Path, name: str) -> bytes:
    path = _file(place, name)
    if path is None:
        raise InputError(f"{place / name}.gz: not there, though other files of Fashion-MNIST are: put it beside them")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}): partial or corrupt, delete it") from None
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise InputError(f"{path}: its bytes are not Fashion-MNIST's ({len(content)} unpacked): delete it")
    return content


def _download(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.utils import download_url

    try:
        for name, md5 in FashionMNIST.resources:
            download_url(FashionMNIST.mirrors[0] + name, folder, md5=md5)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{folder}: Fashion-MNIST is not there and cannot be downloaded ({error}): put its four files"
            f" {', '.join(f'{name}.gz' for name in FILES)} there, or install Debian's package dataset-fashion-mnist"
        ) from None
    return folder
