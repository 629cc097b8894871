"""The readers of data sets, on small files in the formats of the real ones, which the tests write themselves."""

import errno
import gzip
import hashlib
import io
import json
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from running import REPOSITORY
from torchvision.datasets import CIFAR10, FashionMNIST

from amun_steps.datasets import cifar10, digits, fashion_mnist, tiny_imagenet
from amun_steps.steps import dataset as data
from amun_steps.store.step import InputError


class Small(NamedTuple):
    """A small data set that its reader takes for the real one."""

    read: Callable
    files: dict[str, bytes]  # by their paths in the folder of data
    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    urls: dict[str, bytes]  # what the reader would download


@pytest.fixture(autouse=True)
def internet(monkeypatch) -> dict[str, bytes]:
    """What can be downloaded, by address: nothing until a test adds to it. The real internet is out of reach."""
    reachable = {}

    def urlopen(request):
        if request.full_url not in reachable:
            raise URLError("no network")
        response = io.BytesIO(reachable[request.full_url])
        response.url, response.length = request.full_url, len(response.getvalue())
        return response

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return reachable


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def fashion(tmp_path, monkeypatch) -> Small:
    random = np.random.default_rng(0)
    files, images, labels = {}, [], []
    for part, count in (("train", 12), ("t10k", 5)):
        images.append(random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        labels.append(random.integers(0, 10, count, dtype=np.uint8))
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, count, 28, 28) + images[-1].tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, count) + labels[-1].tobytes()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}
    monkeypatch.setattr(fashion_mnist, "FILES", sums)
    monkeypatch.setattr(fashion_mnist, "TRAIN", 12)
    monkeypatch.setattr(fashion_mnist, "TEST", 5)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")  # whether the package is installed here or not
    monkeypatch.setattr(FashionMNIST, "resources", [(name, md5(content)) for name, content in files.items()])
    urls = {FashionMNIST.mirrors[0] + name: content for name, content in files.items()}
    train = np.arange(17) < 12
    return Small(fashion_mnist.read, files, np.concatenate(images)[:, None], np.concatenate(labels), train, urls)


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings: CIFAR-10's files are of that time."""

    def save_string(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_string}


@pytest.fixture
def cifar(monkeypatch) -> Small:
    """Five training batches of four images and a test batch of three, whose pixels lie plane by plane in a row."""
    random = np.random.default_rng(1)
    red, green, blue = random.integers(0, 256, (3, 23, 32, 32), dtype=np.uint8)
    labels = random.integers(0, 10, 23)
    content = {}
    for b, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        rows = range(23)[4 * b : 4 * b + 4]
        content[name] = {
            b"batch_label": b"batch",
            b"labels": [int(labels[n]) for n in rows],
            b"data": np.array([[*red[n].ravel(), *green[n].ravel(), *blue[n].ravel()] for n in rows], np.uint8),
            b"filenames": [b"image_%d.png" % n for n in rows],
        }
    content["batches.meta"] = {b"label_names": [b"class_%d" % k for k in range(10)], b"num_vis": 3072}
    sums = {name: md5(pickled(value)) for name, value in content.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in content if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    files = {f"cifar-10-batches-py/{name}": pickled(value) for name, value in content.items()}
    archive = as_tar(files)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    images = np.stack([red, green, blue], axis=1)
    return Small(cifar10.read, files, images, labels, np.arange(23) < 20, {CIFAR10.url: archive})


@pytest.fixture
def tiny(monkeypatch) -> Small:
    """Two classes, which wnids.txt does not list in sorted order, of three training and two validation images."""
    random = np.random.default_rng(2)
    cat, goldfish = "n02124075", "n01443537"

    def jpeg(*channels: int) -> bytes:
        pixels = random.integers(0, 256, (8, 8, *channels), dtype=np.uint8)
        return encoded(Image.fromarray(pixels).resize((64, 64)))

    content = {"wnids.txt": f"{cat}\n{goldfish}\n".encode()}
    content["words.txt"] = f"{goldfish}\tgoldfish, Carassius auratus\n{cat}\tEgyptian cat\n".encode()
    for wordnet in (cat, goldfish):
        names = [f"{wordnet}_{k}.JPEG" for k in range(3)]
        content |= {f"train/{wordnet}/images/{name}": jpeg(3) for name in names}
        content[f"train/{wordnet}/{wordnet}_boxes.txt"] = "".join(f"{n}\t0\t10\t63\t58\n" for n in names).encode()
    content[f"train/{goldfish}/images/{goldfish}_1.JPEG"] = jpeg()  # grey
    content |= {f"{part}/images/{part}_{k}.JPEG": jpeg(3) for part in ("val", "test") for k in range(4)}
    validation = {2: cat, 0: goldfish, 3: goldfish, 1: cat}
    lines = [f"val_{k}.JPEG\t{wordnet}\t0\t32\t44\t62\n" for k, wordnet in validation.items()]
    content["val/val_annotations.txt"] = "".join(lines).encode()
    for name, value in {"CLASSES": 2, "TRAIN_PER_CLASS": 3, "TEST_PER_CLASS": 2}.items():
        monkeypatch.setattr(tiny_imagenet, name, value)
    files = {f"tiny-imagenet-200/{name}": value for name, value in content.items()}
    archive = as_zip(files)
    monkeypatch.setattr(tiny_imagenet, "MD5", md5(archive))
    rows = [f"train/{wordnet}/images/{wordnet}_{k}.JPEG" for wordnet in (goldfish, cat) for k in range(3)]
    rows += [f"val/images/val_{k}.JPEG" for k in validation]
    images = np.stack([decoded(content[name]) for name in rows])
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1])
    return Small(tiny_imagenet.read, files, images, labels, np.arange(10) < 6, {tiny_imagenet.URL: archive})


@pytest.fixture
def small(request) -> Small:
    """The small data set whose fixture the test names."""
    return request.getfixturevalue(request.param)


every_reader = pytest.mark.parametrize("small", ["fashion", "cifar", "tiny"], indirect=True)


def pickled(value: dict) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def decoded(jpeg: bytes) -> np.ndarray:
    """(3, 64, 64) pixels: a grey image's three times."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)))
    return np.stack([pixels] * 3) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def as_tar(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def as_zip(files: dict[str, bytes]) -> bytes:
    """A zip file with entries of the folders, as the real one has."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        for parent in sorted({f"{p.as_posix()}/" for name in files for p in Path(name).parents if p.name}):
            entries.writestr(parent, b"")
        for name, content in files.items():
            entries.writestr(name, content)
    return archive.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def unpacked(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removesuffix(".gz"): gzip.decompress(content) for name, content in files.items()}


def downloads(small: Small) -> dict[str, bytes]:
    """The files that the reader would download, by their names."""
    return {url.split("/")[-1]: content for url, content in small.urls.items()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def check(small: Small, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, train = found
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, small.images)
    np.testing.assert_array_equal(labels, small.labels)
    assert train.dtype == bool
    np.testing.assert_array_equal(train, small.train)


def error(small: Small, folder: Path | str) -> str:
    """What the reader says when it cannot read."""
    with pytest.raises(InputError) as caught:
        small.read(folder=str(folder))
    return str(caught.value)


# digits


@pytest.mark.parametrize("test", [10, 11, 599, 1786, 1787])
def test_the_digits_have_the_sizes_that_they_say_and_every_class_in_both_parts(test):
    sizes = digits.sizes(test_fraction=test / 1797, seed=3)
    images, labels, train = digits.read(test_fraction=test / 1797, seed=3)
    assert (sizes.train, sizes.test, sizes.shape) == (train.sum(), (~train).sum(), images.shape[1:])
    assert len(set(labels[train])) == len(set(labels[~train])) == sizes.classes


@pytest.mark.parametrize("test", [9, 1788])
def test_digits_that_leave_a_class_out_are_an_error(test):
    with pytest.raises(InputError, match=rf"^test_fraction: found .*, which is {test} of 1797 images"):
        digits.read(test_fraction=test / 1797, seed=3)


# every reader


@every_reader
@pytest.mark.parametrize(
    "damage", [Path.mkdir, Path.touch, lambda path: path.symlink_to(path)], ids=["folder", "empty", "loop"]
)
def test_something_else_in_the_place_of_a_file_is_named(small, folder, damage):
    for name in (".", *downloads(small), *small.files):
        shutil.rmtree(folder, ignore_errors=True)
        folder.unlink(missing_ok=True)
        if name != ".":
            write(folder, small.files)
            if (folder / name).exists():
                (folder / name).unlink()
            else:
                shutil.rmtree(folder / Path(next(iter(small.files))).parts[0], ignore_errors=True)
        damage(folder / name)
        if "wnids" in name or "words" in name or "boxes" in name or "/test/" in name:
            check(small, small.read(folder=str(folder)))  # what is not read
        else:
            assert str(folder) in error(small, folder)


@pytest.mark.parametrize("small", ["fashion", "tiny"], indirect=True)
def test_a_file_that_may_not_be_read_is_named(small, folder, monkeypatch):
    """As the step says it: a test may run as root, who may read everything."""
    write(folder, small.files)
    name = str(folder / next(iter(small.files)))

    def refused(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(Path, "read_bytes", refused)
    source = small.read.__module__.split(".")[-1]
    with pytest.raises(InputError, match=re.escape(f"{name}: cannot be read (Permission denied)")):
        data.dataset(source=source, parameters={}, folder=str(folder), output=folder / "dataset.h5")


@pytest.mark.parametrize("small", ["cifar", "tiny"], indirect=True)
@pytest.mark.parametrize("files", [lambda small: small.files, downloads], ids=["unpacked", "packed"])
def test_images_labels_and_split_are_those_of_the_files(small, folder, files):
    """Both as unpacked by people and as the archive that is published."""
    write(folder, files(small))
    check(small, small.read(folder=str(folder)))


@every_reader
def test_a_folder_may_be_in_the_home_folder(small, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    write(folder, small.files)
    check(small, small.read(folder="~/data"))


@every_reader
def test_what_is_not_there_is_downloaded_once(small, folder, internet):
    internet |= small.urls
    check(small, small.read(folder=str(folder)))
    internet.clear()
    check(small, small.read(folder=str(folder)))


@pytest.mark.parametrize(
    ("small", "wanted"),
    [
        ("fashion", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "package dataset-fashion-mnist"]),
        ("cifar", ["put cifar-10-python.tar.gz", "cifar-10-batches-py"]),
        ("tiny", ["put tiny-imagenet-200.zip", "the folder tiny-imagenet-200 "]),
    ],
    indirect=["small"],
)
def test_without_data_and_network_the_message_says_what_to_put_where(small, folder, wanted):
    found = error(small, folder)
    for part in (f"{folder}: ", "cannot be downloaded", "no network", *wanted):
        assert part in found


@every_reader
def test_half_a_download_is_an_error_then_and_at_the_next_start(small, folder, internet):
    internet |= {url: content[: len(content) // 2] for url, content in small.urls.items()}
    assert "cannot be downloaded" in error(small, folder)
    name = next(iter(downloads(small)))
    found = error(small, folder)
    assert found.startswith(f"{folder / name}: ")
    assert "partial" in found


@pytest.mark.parametrize("small", ["cifar", "tiny"], indirect=True)
@pytest.mark.parametrize(
    "content", [lambda archive: archive[:1000], lambda archive: b"not an archive"], ids=["half", "junk"]
)
def test_an_archive_that_is_not_whole_is_an_error(small, folder, content, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    [(name, archive)] = downloads(small).items()
    write(folder, {name: content(archive)})
    expected = f"{folder / name}: corrupt or partial ({len(content(archive))} bytes): delete it"
    assert error(small, "~/data") == expected


def test_the_command_line_says_only_what_is_wrong_and_leaves_nothing(tmp_path):
    """With the real sum, which nothing that a test writes can have."""
    write(tmp_path, {"cifar-10-python.tar.gz": b"not an archive"})
    command = [sys.executable, "-m", "amun_steps.steps.dataset", "--source", "cifar10"]
    command += ["--parameters", json.dumps({"folder": str(tmp_path)}), "--output", str(tmp_path / "out" / "dataset.h5")]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    *said, error = done.stderr.splitlines()
    assert error == f"{tmp_path / 'cifar-10-python.tar.gz'}: corrupt or partial (14 bytes): delete it"
    assert all(re.match(r"\d\d:\d\d:\d\d (amun_steps\.steps\.dataset\.dataset makes|with) ", line) for line in said)
    assert done.stdout == ""
    assert list((tmp_path / "out").iterdir()) == []


# Fashion-MNIST

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("place", ["data", "data/FashionMNIST/raw", "debian"])
@pytest.mark.parametrize("pack", [dict, unpacked])
def test_fashion_mnist_is_found_in_all_its_places(fashion, folder, place, pack):
    write(folder.parent / place, pack(fashion.files))
    check(fashion, fashion.read(folder=str(folder)))


def test_fashion_mnist_in_the_folder_goes_before_the_package(fashion, folder):
    write(folder, {TRAIN_IMAGES: b""})
    write(folder.parent / "debian", fashion.files)
    assert str(folder / TRAIN_IMAGES) in error(fashion, folder)


def test_fashion_mnist_s_first_samples_of_each_part_are_taken(fashion, folder):
    write(folder, fashion.files)
    rows = [*range(7), *range(12, 15)]
    expected = fashion._replace(images=fashion.images[rows], labels=fashion.labels[rows], train=fashion.train[rows])
    check(expected, fashion.read(folder=str(folder), train_samples=7, test_samples=3))
    with pytest.raises(InputError, match=r"^train_samples: found 13, expected at most 12"):
        fashion.read(folder=str(folder), train_samples=13)
    with pytest.raises(InputError, match=r"^test_samples: found 6, expected at most 5"):
        fashion.read(folder=str(folder), test_samples=6)


@pytest.mark.parametrize("name", [f"{name}.gz" for name in fashion_mnist.FILES])
def test_three_of_fashion_mnist_s_four_files_are_an_error(fashion, folder, name):
    write(folder, {key: content for key, content in fashion.files.items() if key != name})
    assert error(fashion, folder).startswith(f"{folder / name}: not there")


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-100],
        lambda packed: packed[:5],
        lambda packed: packed[:10] + b"\xff" + packed[11:],  # no such kind of block
        lambda packed: packed[:-8] + bytes(8),  # the sum and the length
        lambda packed: b"<html>404 Not Found</html>",
    ],
    ids=["truncated", "header", "stream", "sum", "page"],
)
def test_a_file_of_fashion_mnist_that_cannot_be_unpacked_is_an_error(fashion, folder, damage):
    write(folder, fashion.files | {TRAIN_IMAGES: damage(fashion.files[TRAIN_IMAGES])})
    assert error(fashion, folder).startswith(f"{folder / TRAIN_IMAGES}: cannot be unpacked (")


@pytest.mark.parametrize("pack", [dict, unpacked])
def test_one_wrong_pixel_of_fashion_mnist_is_an_error(fashion, folder, pack):
    """Whole gzip files are not yet the right ones: MNIST's have the same names, and the sizes of these."""
    content = bytearray(gzip.decompress(fashion.files[TRAIN_IMAGES]))
    content[100] ^= 1
    files = pack(fashion.files | {TRAIN_IMAGES: gzip.compress(content)})
    write(folder, files)
    path = folder / next(iter(files))
    assert error(fashion, folder) == f"{path}: its bytes are not Fashion-MNIST's (9424 unpacked): delete it"


@pytest.mark.skipif(not fashion_mnist.DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(folder):
    images, labels, train = fashion_mnist.read(folder=str(folder))
    assert images.shape == (70000, 1, 28, 28)
    assert np.bincount(labels[train]).tolist() == [6000] * 10
    assert np.bincount(labels[~train]).tolist() == [1000] * 10
    some = fashion_mnist.read(folder=str(folder), train_samples=80, test_samples=20)
    rows = [*range(80), *range(60000, 60020)]
    for found, everything in zip(some, (images, labels, train), strict=True):
        np.testing.assert_array_equal(found, everything[rows])


# CIFAR-10


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
@pytest.mark.parametrize(
    ("damage", "found"),
    [(lambda content: content[:-1], "corrupt or partial"), (lambda content: None, "not there")],
    ids=["truncated", "missing"],
)
def test_a_batch_of_cifar10_that_is_not_right_is_an_error(cifar, folder, name, damage, found):
    """Even beside a good archive: nothing that a person unpacked is written over."""
    path = f"cifar-10-batches-py/{name}"
    content = damage(cifar.files[path])
    rest = {key: value for key, value in cifar.files.items() if key != path}
    write(folder, rest | downloads(cifar) | ({path: content} if content else {}))
    assert error(cifar, folder).startswith(f"{folder / path}: {found}: delete the folder")
    assert (folder / path).exists() == bool(content)


def test_an_archive_of_cifar10_that_cannot_be_unpacked_is_not_called_missing(cifar, folder):
    """As in a folder that one may only read; here, a file is where the folder would be."""
    write(folder, downloads(cifar) | {"cifar-10-batches-py": b""})
    found = error(cifar, folder)
    assert "unpacked" in found
    assert "not there" not in found


# Tiny ImageNet

TINY = "tiny-imagenet-200"
VALIDATION = f"{TINY}/val/images/val"
GOLDFISH = f"{TINY}/train/n01443537/images/n01443537_0.JPEG"
ANNOTATIONS = f"{TINY}/val/val_annotations.txt"


def test_tiny_imagenet_s_folder_and_zip_file_are_the_same_to_the_bit(tiny, tmp_path):
    write(tmp_path / "unpacked", tiny.files)
    write(tmp_path / "packed", downloads(tiny))
    a, b = (tiny.read(folder=str(tmp_path / name)) for name in ("unpacked", "packed"))
    for one, other in zip(a, b, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([ANNOTATIONS], f"{ANNOTATIONS}: not there"),
        ([f"{VALIDATION}_3.JPEG"], f"{VALIDATION}_3.JPEG: not there: 1 of 4"),
        ([f"{VALIDATION}_{k}.JPEG" for k in (3, 1)], f"{VALIDATION}_1.JPEG: not there: 2 of 4"),
        ([GOLDFISH], f"{TINY}/train: found 2 images of class n01443537, expected 3"),
        (
            [GOLDFISH.replace("_0.", f"_{k}.") for k in range(3)],
            f"{TINY}/train: found 1 classes with images, expected 2",
        ),
    ],
)
def test_tiny_imagenet_with_missing_files_is_an_error(tiny, folder, names, message):
    write(folder, {name: content for name, content in tiny.files.items() if name not in names})
    assert error(tiny, folder).startswith(f"{folder}/{message}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table[:32], "val: found 0 images of class n01443537, expected 2"),
        (lambda table: table[:10], "val: found 0 images of class n01443537, expected 2"),
        (lambda table: b"", "val: found 0 images of class n01443537, expected 2"),
        (lambda table: b"\xff" + table, "val/images/\ufffdval_2.JPEG: not there: 1 of 4"),
    ],
    ids=["after a line", "inside a name", "empty", "no text"],
)
def test_tiny_imagenet_s_annotations_that_are_not_whole_are_an_error(tiny, folder, damage, message):
    write(folder, tiny.files | {ANNOTATIONS: damage(tiny.files[ANNOTATIONS])})
    assert error(tiny, folder).startswith(f"{folder}/{TINY}/{message}")


def test_tiny_imagenet_s_class_with_one_image_too_many_is_an_error(tiny, folder):
    write(folder, tiny.files | {GOLDFISH.replace("_0.", "_copy."): tiny.files[GOLDFISH]})
    assert error(tiny, folder).startswith(f"{folder}/{TINY}/train: found 4 images of class n01443537, expected 3")


@pytest.mark.parametrize("name", [GOLDFISH, f"{VALIDATION}_1.JPEG"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda jpeg: jpeg[: len(jpeg) // 2], "cannot be read as an image"),
        (lambda jpeg: b"", "cannot be read as an image"),
        (lambda jpeg: b"<html>404 Not Found</html>", "cannot be read as an image"),
        (lambda jpeg: encoded(Image.new("RGB", (48, 64))), "found an image of 48x64 pixels, expected 64x64"),
    ],
    ids=["truncated", "empty", "page", "size"],
)
def test_an_image_of_tiny_imagenet_that_is_not_right_is_an_error(tiny, folder, name, damage, message):
    write(folder, tiny.files | {name: damage(tiny.files[name])})
    assert error(tiny, folder).startswith(f"{folder}/{name}: {message}")
