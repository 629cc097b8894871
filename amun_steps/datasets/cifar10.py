"""CIFAR-10: 50,000 training and 10,000 test images, 32x32 pixels, 10 classes (Krizhevsky, 2009)."""

from pathlib import Path

import numpy as np

from amun_steps.datasets import Sizes
from amun_steps.store.step import InputError


def sizes(*, folder: str) -> Sizes:
    """CIFAR-10's."""
    return Sizes(50_000, 10_000, (3, 32, 32), 10)


def read(*, folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images and labels in `folder`: the archive cifar-10-python.tar.gz or its folder cifar-10-batches-py.

    Where there is neither, torchvision downloads the archive. Every file's MD5 is verified.
    """
    from torchvision.datasets import CIFAR10  # seconds to import
    from torchvision.datasets.utils import check_integrity

    root = Path(folder).expanduser()
    archive, batches = root / CIFAR10.filename, root / CIFAR10.base_folder
    if batches.is_dir():
        for name, md5 in (*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])):
            if not check_integrity(batches / name, md5):
                found = "corrupt or partial" if (batches / name).is_file() else "not there"
                raise InputError(f"{batches / name}: {found}: delete the folder {batches}, and the archive is unpacked")
    elif archive.is_file() and not check_integrity(archive, CIFAR10.tgz_md5):
        raise InputError(f"{archive}: corrupt or partial ({archive.stat().st_size} bytes): delete it")
    try:
        parts = [CIFAR10(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{folder}: CIFAR-10 cannot be downloaded or unpacked there ({error}): put {CIFAR10.filename}, or the"
            f" folder {CIFAR10.base_folder} that is in it, there"
        ) from None
    images = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
    labels = np.concatenate([part.targets for part in parts])
    return images, labels, np.repeat([True, False], [len(part) for part in parts])
