"""Steps: which samples a model is to forget, each way of saying so; and the reader of what they write.

All write `forget` (sets + 1, N) bool, the sets that are reported and, as the last row, the tuning set that only tuning
sees (paper, Appendix C), and `test` (sets + 1, N) bool, the test samples that each is told from by membership attacks.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from amun_steps.datasets import other_classes, share_of
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.lists import digest, left_of, numbers_of, read_list
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import InputError, Output, main, step
from amun_steps.training.data import load_labels


@step
def fraction(*, dataset: Path, name: str, fraction: float, sets: int, seed: int, output: Output) -> None:
    """Draw `sets` random forget sets of `fraction` of the training samples and a tuning set, independently.

    Raises InputError for a fraction that leaves nothing to forget or nothing to keep.
    """
    _, train = load_labels(dataset)
    members = np.flatnonzero(train)
    size = share_of(len(members), fraction, f"forget.{name}.fraction")
    draws = [np.random.default_rng(seed_of(seed, "forget", name, which)) for which in (*range(sets), "tuning")]
    _write(output, train, [generator.choice(members, size, replace=False) for generator in draws])


@step
def listed(
    *, dataset: Path, name: str, lists: list[Path], digests: list[str], sets: int, seed: int, output: Output
) -> None:
    """Take a forget set from each of `lists` (see `read_list`), whose samples have the `digests` of the plan.

    The tuning set is as large as the first and has as many samples of each class, drawn from what no list has; where a
    class has too few of these, others make up for it. Raises InputError for a list that is not as it was planned or has
    what is no training sample, and where too few are left to draw from.
    """
    labels, train = load_labels(dataset)
    with hdf5(dataset) as file:
        names = file["names"].asstr()[:].tolist() if "names" in file else None
    chosen = []
    for path, planned in zip(lists, digests, strict=True):
        samples = read_list(path)
        if digest(samples) != planned:
            raise InputError(f"{path}: was changed since this run of the workflow was planned: start it again")
        where = f"forget.{name}.indices: {path}"
        chosen.append(np.array(numbers_of(samples, int(train.sum()), len(train), where, names)))
    free = np.array(left_of(int(train.sum()), chosen, f"forget.{name}.indices"))
    tuning = _alike(chosen[0], free, labels, np.random.default_rng(seed_of(seed, "forget", name, "tuning")))
    _write(output, train, [*chosen[:sets], tuning])


def _alike(chosen: np.ndarray, free: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """As many of the samples `free` as `chosen` are, of the same classes as far as there are enough."""
    shuffled = generator.permutation(free)
    wanted = np.bincount(labels[chosen], minlength=labels.max() + 1)
    of_class = np.concatenate([shuffled[labels[shuffled] == c][:count] for c, count in enumerate(wanted)])
    rest = shuffled[~np.isin(shuffled, of_class)]
    return np.concatenate([of_class, rest[: len(chosen) - len(of_class)]])


@step
def classes(*, dataset: Path, name: str, classes: list[list[int]], sets: int, seed: int, output: Output) -> None:
    """Take the training samples of each of `classes`, one or several at once, as a forget set.

    The tuning set is of as many of the other classes as the first, drawn at random. A set is told from the test samples
    of its own classes. Raises InputError for classes that the data, or the test samples, do not have and where too few
    others are left.
    """
    labels, train = load_labels(dataset)
    untested = set(labels.tolist()) - set(labels[~train].tolist())
    free = other_classes(int(labels.max()) + 1, classes, f"forget.{name}.classes", untested)
    drawn = np.random.default_rng(seed_of(seed, "forget", name, "tuning")).choice(free, len(classes[0]), replace=False)
    members = [np.isin(labels, wanted) for wanted in [*classes[:sets], drawn]]
    _write(output, train, [np.flatnonzero(train & of) for of in members], [~train & of for of in members])


@step
def memorised(
    *,
    dataset: Path,
    signals: Path,
    name: str,
    memorised: Literal["high", "low"],
    fraction: float,
    sets: int,
    seed: int,
    output: Output,
) -> None:
    """Share out among `sets` forget sets and a tuning set, at random, the training samples that are memorised most (or
    least), `fraction` of D in each.

    Memorisation is Feldman's (2020): how much more often the label is predicted by models that saw the sample than by
    models that did not, here by the first half of the reference models; the second half judges. Ties go at random.
    Raises InputError for a fraction of which there are not so many.
    """
    _, train = load_labels(dataset)
    size = share_of(int(train.sum()), fraction, f"forget.{name}.fraction", sets + 1)
    with hdf5(signals) as file:
        half = len(file["correct"]) // 2
        found = memorisation(file["correct"][:half], file["included"][:half])
    known = np.flatnonzero(train & np.isfinite(found))
    if len(known) < (sets + 1) * size:
        raise InputError(
            f"forget.{name}.memorised: the references tell it of {len(known)} samples, expected {(sets + 1) * size};"
            " take more references"
        )
    generator = np.random.default_rng(seed_of(seed, "forget", name))
    shuffled = generator.permutation(known)
    order = np.argsort(found[shuffled] if memorised == "low" else -found[shuffled], kind="stable")
    drawn = generator.permutation(shuffled[order[: (sets + 1) * size]])
    _write(output, train, list(drawn.reshape(sets + 1, size)))


def memorisation(correct: np.ndarray, included: np.ndarray) -> np.ndarray:
    """(N,) Feldman's memorisation in [-1, 1] of samples that (models, N) models predict right and have `included`.

    The share of right predictions of the models that saw a sample, less that of those that did not (Feldman, 2020;
    Feldman & Zhang, 2020). NaN where there are none of the one or the other.
    """
    with np.errstate(invalid="ignore"):
        seen, unseen = included.sum(axis=0), (~included).sum(axis=0)
        return (correct & included).sum(axis=0) / seen - (correct & ~included).sum(axis=0) / unseen


def _write(output: Path, train: np.ndarray, samples: list[np.ndarray], test: list[np.ndarray] | None = None) -> None:
    """Write sets of sample numbers; `test`: (N,) bool each, all test samples where it is not given."""
    chosen = np.zeros((len(samples), len(train)), dtype=bool)
    for row, numbers in zip(chosen, samples, strict=True):
        row[numbers] = True
    write_arrays(output, {"forget": chosen, "test": np.array([~train] * len(samples) if test is None else test)})


def load_forget(path: Path, train: np.ndarray) -> np.ndarray:
    """(sets + 1, N) bool: the forget sets in an HDF5 file; the last row is the tuning set.

    train: (N,) bool, the training samples. Raises InputError for a file that somebody made by hand and that has
    something else, such as the numbers of samples, or test samples.
    """
    found = _rows(path, "forget", train)
    wrong = np.argwhere(found & ~train)
    if len(wrong):
        which, sample = wrong[0]
        raise InputError(
            f"{path}: forget set {which} has sample {sample}, which is a test sample; only those of the"
            " training set can be forgotten"
        )
    return found


def load_tests(path: Path, train: np.ndarray) -> np.ndarray:
    """(sets + 1, N) bool: the test samples that each forget set of an HDF5 file is told from; all of them where a file
    that somebody made by hand does not say. Raises InputError for one that says something else."""
    with hdf5(path) as file:
        if "test" not in file:
            return np.broadcast_to(~train, file["forget"].shape)
    found = _rows(path, "test", train)
    wrong = np.argwhere(found & train)
    if len(wrong):
        raise InputError(f"{path}: test samples {wrong[0][0]} have sample {wrong[0][1]}, which is a training sample")
    return found


def _rows(path: Path, name: str, train: np.ndarray) -> np.ndarray:
    with hdf5(path) as file:
        found = file[name][:]
    if found.dtype != bool or found.ndim != 2 or found.shape[1] != len(train):
        raise InputError(f"{path}: found {name} {found.shape} {found.dtype}, expected (sets, {len(train)}) bool")
    return found


if __name__ == "__main__":
    main(fraction, listed, classes, memorised)
