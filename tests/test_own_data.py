"""Data sets of one's own: what their readers make of files, what they refuse, and what their address covers."""

import json
import os
import struct
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from test_config import changed

from amun_steps.datasets import Sizes, arrays, digits, image_folder
from amun_steps.plan import views
from amun_steps.plan.forget import check_family
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import known_sizes
from amun_steps.steps.dataset import dataset
from amun_steps.store import content
from amun_steps.store.step import InputError

DIGITS = digits.read(test_fraction=0.5, seed=0)
FORM = {"size": [8, 8], "channels": 1}


def save(path: Path, pixels: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Two classes, of three training images and one test image each, with names that are not in the classes' order."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for part, names in (("train", "xay"), ("test", "b")):
        for kind in ("dog", "cat"):
            for name in names:
                save(tmp_path / "pets" / part / kind / f"{name}.png", random.integers(0, 256, (8, 8), np.uint8))
    return tmp_path / "pets"


def put(folder: Path, **changes) -> str:
    """An .npz file of the digits, some of them changed; its path."""
    images, labels, train = DIGITS
    folder.mkdir(exist_ok=True)
    kept = {"images": images, "labels": labels, "train": train} | changes
    np.savez(folder / "some.npz", **{name: array for name, array in kept.items() if array is not None})
    return str(folder)


def test_an_image_folder_has_the_pixels_labels_and_names_of_its_files(folder):
    found = image_folder.read(folder=str(folder), **FORM)
    assert found.names == [f"train/{k}/{n}.png" for k in ("cat", "dog") for n in "axy"] + [
        "test/cat/b.png", "test/dog/b.png"
    ]  # fmt: skip
    assert found.classes == ["cat", "dog"]
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert found.train.tolist() == [True] * 6 + [False] * 2
    for name, image in zip(found.names, found.images, strict=True):
        assert (image[0] == np.asarray(Image.open(folder / name))).all()
    assert image_folder.sizes(folder=str(folder), **FORM) == Sizes(6, 2, (1, 8, 8), 2)
    assert image_folder.sizes(folder=str(folder), **FORM).names == list(found.names)


def test_a_name_in_a_list_that_no_image_has_is_named_before_anything_runs(folder, tmp_path):
    (tmp_path / "asked.txt").write_text("train/cat/a.png\ntrain/cat/b.png\n")
    sizes, family = image_folder.sizes(folder=str(folder), **FORM), {"indices": str(tmp_path / "asked.txt")}
    with pytest.raises(ConfigError, match=r"forget.some.indices: .*found 'train/cat/b.png', expected one of the names"):
        check_family("forget.some", family, sizes, 8, "pets")
    (tmp_path / "asked.txt").write_text("train/cat/a.png\n")
    check_family("forget.some", family, sizes, 8, "pets")


def test_digits_written_as_images_and_as_arrays_are_the_digits(tmp_path):
    images, labels, train = DIGITS
    for n, (image, label, trained) in enumerate(zip(*DIGITS, strict=True)):
        save(tmp_path / ("train" if trained else "test") / f"digit{label}" / f"{n:04}.png", image[0])
    found = image_folder.read(folder=str(tmp_path), **FORM)
    order = [int(name[-8:-4]) for name in found.names]
    assert sorted(order) == list(range(len(images)))
    for got, expected in zip(found, DIGITS, strict=False):
        assert (got == expected[order]).all()

    np.savez_compressed(tmp_path / "digits.npz", images=images, labels=labels, train=train)
    with h5py.File(tmp_path / "digits.h5", "w") as file:
        file.update({"images": images / np.float32(255), "labels": labels, "train": train})
    for file in ("digits.npz", "digits.h5"):
        for got, expected in zip(arrays.read(folder=str(tmp_path), file=file), DIGITS, strict=True):
            assert (got == expected).all()
        assert arrays.sizes(folder=str(tmp_path), file=file) == digits.sizes(test_fraction=0.5, seed=0)


def test_images_are_scaled_and_coloured_as_told(folder):
    """A plain colour stays so; grey has the weights of ITU-R 601; height comes before width."""
    save(folder / "train" / "cat" / "a.png", np.full((31, 17, 3), (200, 100, 50), np.uint8))
    save(folder / "train" / "cat" / "y.png", np.repeat(np.uint8([0, 255]), [6, 6])[None].repeat(8, 0))
    found = image_folder.read(folder=str(folder), size=[4, 6], channels=3).images
    assert found.shape == (8, 3, 4, 6)
    assert (found[0] == np.array([200, 100, 50])[:, None, None]).all()
    assert (found[1][0] == found[1][2]).all()  # a grey one
    assert (found[2][..., [0, 1, 4, 5]] == np.uint8([0, 0, 255, 255])).all()  # left black, right white
    grey = image_folder.read(folder=str(folder), size=[4, 6], channels=1).images
    assert (grey[0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_an_image_that_is_made_smaller_is_averaged(folder):
    """Stripes of one pixel become grey."""
    save(folder / "train" / "cat" / "a.png", np.tile(np.array([[0, 255]], np.uint8), (64, 32)))
    assert set(image_folder.read(folder=str(folder), **FORM).images[0, 0, 1:-1, 1:-1].ravel()) <= {127, 128}


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def deep(path: Path) -> None:
    save(path, np.full((8, 8), 1000, np.uint16))


def deep_colours(path: Path) -> None:
    """A PNG of 16 bits in each of three channels, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(8))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.rename(f.with_name("other")), "folder: {f}/train: No such file or directory; expected a folder"),
        (lambda f: (f / "test").rename(f / "val"), "folder: {f}/test: No such file"),
        (lambda f: (f / "train" / "README").touch(), "folder: {f}/train/README: Not a directory"),
        (lambda f: (f / "train" / "cat" / "notes.txt").touch(), "folder: '{f}/train/cat/notes.txt': expected an image"),
        (lambda f: (f / "train" / "cat" / "more.png").mkdir(), "folder: '{f}/train/cat/more.png': expected an image"),
        (lambda f: (f / "train" / "cow").mkdir(), "folder: {f}/train/cow: found no images; a class needs some"),
        (lambda f: (f / "test" / "cat").rename(f / "test" / "cow"), "folder: {f}/train/cow: found no images"),
        (lambda f: [(f / p / "dog").rename(f / p / ".dog") for p in ("train", "test")], "found 1 folders of classes"),
        (lambda f: [(f / "test" / k / "b.png").unlink() for k in ("cat", "dog")], "folder: {f}/test: found no images"),
        (lambda f: damaged(f / "train" / "cat" / "x.png"), "{f}/train/cat/x.png: cannot be read as an image"),
        (lambda f: deep(f / "test" / "cat" / "b.png"), "{f}/test/cat/b.png: found more than 8 bits a channel"),
        (lambda f: deep_colours(f / "test" / "cat" / "b.png"), "{f}/test/cat/b.png: found more than 8 bits a channel"),
        (lambda f: (f / "train" / "d\udcff").mkdir(), "expected a class's name in UTF-8"),
    ],
)
def test_what_is_wrong_in_an_image_folder_is_named(folder, change, message):
    change(folder)
    with pytest.raises(InputError) as caught:
        image_folder.read(folder=str(folder), **FORM)
    assert message.format(f=folder) in str(caught.value)


def test_hidden_files_are_passed_over(folder):
    before = image_folder.files(folder=str(folder), **FORM)
    (folder / "train" / ".DS_Store").touch()
    (folder / "train" / "cat" / ".cache").mkdir()
    assert image_folder.files(folder=str(folder), **FORM) == before


images, labels, train = DIGITS
LAST = labels == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": None}, "lacks train; found images, labels"),
        ({"images": images[:, 0]}, "found images (1797, 8, 8) uint8, expected (N, channels, height, width)"),
        ({"images": images.transpose(0, 2, 3, 1)}, "channels before height and width: images.transpose(0, 3, 1, 2)"),
        ({"images": images.astype(int)}, "found images (1797, 1, 8, 8) int64, expected"),
        ({"images": images[1:]}, "found labels (1797,) int64, expected (1796,) integers"),
        ({"images": images.astype(object)}, "expected (N, channels, height, width)"),
        ({"labels": labels.astype(object)}, "cannot be read (Object arrays"),
        (
            {"labels": np.where(LAST, np.nan, labels)},
            "found labels (1797,) float64 with NaN, expected (1797,) integers",
        ),
        ({"labels": labels - 1}, "found labels from -1 to 8, expected classes from 0"),
        ({"labels": labels + LAST}, "found labels no training image of class 9"),
        ({"train": train & ~LAST}, "found labels no training image of class 9"),
        ({"train": train.astype(int)}, "found train (1797,) int64, expected (1797,) bool"),
        ({"train": np.ones_like(train)}, "found train True for all images"),
        ({"images": np.where(LAST[:, None, None, None], np.nan, images / 255)}, "found the pixel nan in images[9]"),
        ({"images": images.astype(np.float32)}, "expected multiples of 1/255 from 0 to 1"),
        ({"images": images / 255 * 0.9}, "pixels are kept in 8 bits; round them"),
    ],
)
def test_what_is_wrong_in_arrays_is_named(tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        arrays.read(folder=put(tmp_path, **change), file="some.npz")
    assert str(tmp_path / "some.npz") in str(caught.value)
    assert message in str(caught.value)


def test_labels_may_reach_to_the_end_of_their_type(tmp_path):
    """255 + 1 is 0 in uint8: no class would have been missed."""
    labels = np.arange(512, dtype=np.uint8)
    kept = {"images": np.zeros((512, 1, 2, 2), np.uint8), "labels": labels, "train": np.arange(512) < 256}
    assert arrays.sizes(folder=put(tmp_path, **kept), file="some.npz") == Sizes(256, 256, (1, 2, 2), 256)
    labels[0] = 1
    with pytest.raises(InputError, match=r"no training image of class 0, expected some of each from 0 to 255"):
        arrays.sizes(folder=put(tmp_path, **kept), file="some.npz")


def test_a_class_without_test_images_is_known(folder, tmp_path):
    untested = train | LAST
    found = arrays.sizes(folder=put(tmp_path / "arrays", train=untested), file="some.npz")
    assert found.untested == (9,)
    (folder / "test" / "cat" / "b.png").unlink()
    assert image_folder.sizes(folder=str(folder), **FORM).untested == (0,)
    with pytest.raises(ConfigError, match=r"forget.some.classes: found 9, a class without test images; expected one"):
        check_family("forget.some", {"classes": [9]}, found, 8, "mine")
    check_family("forget.some", {"classes": [8]}, found, 8, "mine")
    few = Sizes(90, 10, (1, 8, 8), 4, (2, 3))
    with pytest.raises(ConfigError, match=r"0 of the 2 classes that are left have test images, expected 1: as many"):
        check_family("forget.some", {"classes": [[0], [1]]}, few, 8, "mine")


def test_a_file_that_has_no_arrays_is_named(tmp_path):
    whole = Path(put(tmp_path)) / "some.npz"
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:5000])
    torn = bytearray(whole.read_bytes())
    torn[2000:3000] = bytes(1000)
    (tmp_path / "torn.npz").write_bytes(torn)
    with h5py.File(tmp_path / "groups.h5", "w") as file:
        for name in arrays.NAMES:
            file.create_group(name)
    for name, message in (
        ("none.npz", "found no such file"),
        ("cut.npz", "found a file that is neither .npz nor HDF5"),
        ("torn.npz", "cannot be read ("),
        ("groups.h5", "cannot be read ("),
    ):
        with pytest.raises(InputError, match="file: ") as caught:
            arrays.read(folder=str(tmp_path), file=name)
        assert f"{tmp_path / name}: {message}" in str(caught.value)


def plan_of(**source) -> views.Plan:
    config = changed("datasets.digits", source)
    config["forget"]["random10"]["fraction"] = config["requests"]["two_of_5"]["fraction"] = 0.2
    return views.load(config)


def dataset_of(folder: Path):
    """The stage of an image folder."""
    return plan_of(source="image_folder", folder=str(folder), **FORM).experiments["digits"].dataset()


def test_an_image_that_is_added_removed_renamed_or_changed_is_another_data_set(folder):
    before = dataset_of(folder).address
    changes = []
    extra, other = folder / "train" / "cat" / "z.png", folder / "test" / "dog" / "b.png"
    save(extra, np.zeros((8, 8), np.uint8))
    changes.append(dataset_of(folder).address)
    extra.rename(extra.with_name("w.png"))
    changes.append(dataset_of(folder).address)
    extra.with_name("w.png").unlink()
    assert dataset_of(folder).address == before
    pixels = np.asarray(Image.open(other)).copy()
    pixels[0, 0] ^= 1
    save(other, pixels)
    changes.append(dataset_of(folder).address)
    assert len({before, *changes}) == 4


def test_where_a_folder_lies_is_in_no_address(folder):
    before = dataset_of(folder)
    assert dataset_of(folder.rename(folder.with_name("moved"))).address == before.address
    assert str(folder) not in json.dumps(before.parameters)


def test_the_data_sets_that_are_known_have_nothing_more_in_their_address():
    assert set(views.load(changed("seed", 0)).experiments["digits"].dataset().parameters) == {"source", "parameters"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "image_folder", "folder": "nowhere", **FORM}, "datasets.digits.folder: nowhere/train: No such"),
        ({"source": "image_folder", "folder": "pets", "size": [8], "channels": 1}, "datasets.digits.size: found [8]"),
        ({"source": "image_folder", "folder": "pets", "size": [8, 8], "channels": 2}, "datasets.digits.channels: "),
        ({"source": "image_folder", "folder": "pets", "channels": 1}, "datasets.digits: lacks the parameter 'size'"),
        ({"source": "arrays", "folder": "pets", "file": "none.npz"}, "datasets.digits.file: pets/none.npz: found no"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_files_is_refused(folder, source, message):
    with pytest.raises(ConfigError) as caught:
        plan_of(**source)
    assert str(caught.value).startswith(message)


def test_forget_sets_are_held_against_the_number_of_images(folder):
    config = changed("datasets.digits", {"source": "image_folder", "folder": "pets", **FORM})
    config["forget"]["random10"]["fraction"] = 0.01
    with pytest.raises(ConfigError, match=r"forget.random10.fraction: found 0.01, which is 0 of 6 training samples"):
        views.load(config)


def made(stage, path: Path) -> Path:
    """The file of a data set, as its step makes it."""
    dataset(**stage.parameters, **stage.elsewhere, output=path)
    return path


def test_the_file_has_the_names_of_samples_and_classes(folder, tmp_path):
    stage = dataset_of(folder)
    with h5py.File(made(stage, Path(stage.file("dataset.h5")))) as file:
        names, kinds = file["names"].asstr()[:], file["class_names"].asstr()[:]
        assert names[4] == "train/dog/x.png"
        assert (kinds[file["labels"][:]] == [name.split("/")[1] for name in names]).all()
    assert known_sizes(stage) == image_folder.sizes(folder=str(folder), **FORM)


def test_files_that_were_changed_since_the_plan_are_refused_and_then_planned_anew(folder, tmp_path):
    """Also where the change has the size and time stamp of before, which the plan cannot see."""
    path = folder / "train" / "dog" / "a.png"
    settled = time.time_ns() - 10 * content.SETTLED
    os.utime(path, ns=(settled, settled))
    before = dataset_of(folder)
    changed_bytes = bytearray(path.read_bytes())
    changed_bytes[-5] ^= 1  # in the checksum of the last chunk, which has no content
    path.write_bytes(changed_bytes)
    os.utime(path, ns=(settled, settled))
    planned = dataset_of(folder)
    assert planned.address == before.address
    with pytest.raises(InputError, match="not those that this run of the workflow was planned with"):
        made(planned, tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()
    after = dataset_of(folder)
    assert after.address != before.address
    made(after, tmp_path / "a.h5")


def test_bytes_are_read_once_and_again_after_a_change(folder, monkeypatch):
    files = image_folder.files(folder="pets", **FORM)
    settled = time.time_ns() - 10 * content.SETTLED
    for path in files.values():
        os.utime(path, ns=(settled, settled))
    first, read = content.digest(files), []
    monkeypatch.setattr(content, "sha256", lambda path, real=content.sha256: read.append(path) or real(path))
    assert content.digest(files) == first
    assert not read
    touched = files["train/cat/x.png"]
    os.utime(touched)
    assert content.digest(files) == first
    assert content.digest(files) == first
    assert read == [touched, touched]  # as young as it is, it might be changed within a tick of the clock
    content.CACHE.write_text("no JSON")
    assert content.digest(files) == first


def test_where_nothing_can_be_written_a_digest_is_made_all_the_same(folder, monkeypatch):
    files = image_folder.files(folder="pets", **FORM)
    expected = content.digest(files)
    monkeypatch.setattr(content, "CACHE", folder / "train" / "cat" / "x.png" / "digests.json")
    monkeypatch.setattr(content, "SETTLED", -1)
    assert content.digest(files) == expected
