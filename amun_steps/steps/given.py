"""Steps: models from files, in place of those that the workflow would train or unlearn: held against the network and
written as a step that trains writes its own."""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amun_steps.judging.metrics import accuracy
from amun_steps.steps.forget import load_forget
from amun_steps.steps.references import listing, models_of
from amun_steps.steps.subsets import load_inclusion
from amun_steps.steps.train import write_models
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.progress import LOG, span, tell
from amun_steps.store.receipts import sha256 as sha256_of
from amun_steps.store.step import InputError, Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import Dataset, load, load_labels
from amun_steps.training.device import device, images_on
from amun_steps.training.state import load_module


@dataclass(frozen=True)
class Given:
    """A model from a file: its numbers, -1 where it has none, and the SHA-256 of the file."""

    original: int
    set: int
    run: int
    sha256: str


@step
def originals(
    *,
    dataset: Path,
    network: dict[str, Any],
    given: list[Given],
    files: list[str],
    stack: int = 8,
    models: Output,
    outputs: Output,
) -> None:
    """Models that were trained on D, one of `files` each; see `amun_steps.steps.train.originals` for what is written.

    Raises InputError, naming the file, for one whose bytes are not `given`'s, or that is not of the network.
    """
    data = load(dataset)
    _write(data, [data.train] * len(given), network, given, files, stack, models, outputs)


@step
def retrained(
    *,
    dataset: Path,
    forget: Path,
    set: int,
    network: dict[str, Any],
    given: list[Given],
    files: list[str],
    stack: int = 8,
    models: Output,
    outputs: Output,
) -> None:
    """Those of the models that were trained without forget set `set` (the last one is tuning's); as `originals`."""
    data = load(dataset)
    remain = data.train & ~load_forget(forget, data.train)[set]
    of_set = [number for number, model in enumerate(given) if model.set == set]
    given, files = [given[number] for number in of_set], [files[number] for number in of_set]
    _write(data, [remain] * len(given), network, given, files, stack, models, outputs)


@step
def submitted(
    *,
    dataset: Path,
    forget: Path,
    network: dict[str, Any],
    given: list[Given],
    files: list[str],
    stack: int = 8,
    models: Output,
    outputs: Output,
) -> None:
    """Models that somebody else unlearned; as `originals`, but one may have diverged, as a run of a method here may."""
    data = load(dataset)
    sets = load_forget(forget, data.train)
    remain = [data.train & ~sets[model.set] for model in given]
    _write(data, remain, network, given, files, stack, models, outputs, diverged=True)


def references(
    *,
    dataset: Path,
    inclusion: Path,
    first: int,
    last: int,
    network: dict[str, Any],
    given: list[Given],
    files: list[str],
    stack: int = 8,
    output: Path,
) -> None:
    """Those of reference models `first` to `last` that are not there, and the listing of them all, `output`; as
    `amun_steps.steps.references`."""
    models = models_of(output.parent, first, last)
    missing = [r for r, path in models.items() if not path.is_file()]
    if missing:
        reads = {"dataset": dataset, "inclusion": inclusion, "network": network, "given": given, "files": files}
        given_references(**reads, members=missing, stack=stack, models=[models[r] for r in missing])
    listing(models=list(models.values()), output=output)


@step
def given_references(
    *,
    dataset: Path,
    inclusion: Path,
    members: list[int],
    network: dict[str, Any],
    given: list[Given],
    files: list[str],
    stack: int = 8,
    models: list[Output],
) -> None:
    """Reference models `members`, each trained on its row of the inclusion matrix; one file of `models` each."""
    data, included = load(dataset), load_inclusion(inclusion)[members]
    chosen = [files[r] for r in members]
    loaded = load_given(data, network, [given[r] for r in members], chosen)
    parts = (
        loaded[start : start + stack].predict(images_on(data, device())) for start in range(0, len(members), stack)
    )
    logits = (one.numpy() for part in parts for one in part)
    _tell(_accuracies(data, chosen, included, logits), chosen, data.classes)
    for row, path in enumerate(models):
        stacks.save(loaded[row : row + 1], path)


@step
def inclusion(*, dataset: Path, references: int, file: str, sha256: str, output: Output) -> None:
    """Write the inclusion matrix in a file: `inclusion` (references, N) bool, as `subsets.inclusion` draws one.

    Raises InputError as `read_inclusion` does, and for a file whose bytes are not those of `sha256`.
    """
    labels, _ = load_labels(dataset)
    _check_same(Path(file), sha256)
    write_arrays(output, {"inclusion": read_inclusion(Path(file), references, len(labels))})


def read_inclusion(path: Path, references: int, samples: int) -> np.ndarray:
    """(references, samples) bool: which samples, train and test, each reference model was trained on.

    From .npy, .npz (its first array), .h5 (`inclusion`) or .csv (0 and 1, without a header). Raises InputError, naming
    the file, for another shape, other values, or a sample that is not in half of the models.
    """
    found = _read_matrix(path)
    if found.shape != (references, samples):
        raise InputError(
            f"{path}: found a matrix of {found.shape}, expected ({references}, {samples}): the reference models, and"
            " the train and test samples in the order of dataset.h5"
        )
    if not np.isin(found, (0, 1)).all():
        raise InputError(f"{path}: found other values than 0 and 1, or true and false")
    counts = found.astype(bool).sum(axis=0)
    wrong = np.flatnonzero(2 * counts != references)
    if len(wrong):
        raise InputError(
            f"{path}: {len(wrong)} samples are not in half of the {references} models, the first of them sample"
            f" {wrong[0]}, which is in {counts[wrong[0]]}: RMIA divides by the mean over as many that have seen a"
            " sample as have not"
        )
    return found.astype(bool)


def _read_matrix(path: Path) -> np.ndarray:
    """The array in a file, of whatever shape and type. Raises InputError where there is none."""
    try:
        match path.suffix:
            case ".npy" | ".npz":
                array = np.load(path)
                return array if isinstance(array, np.ndarray) else array[array.files[0]]
            case ".h5":
                with h5py.File(path) as file:
                    return file["inclusion"][:]
            case ".csv":
                return np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, LookupError, TypeError, AttributeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as an inclusion matrix ({f'{error}'.splitlines()[0]})") from None
    raise InputError(f"{path}: found '{path.suffix}', expected a .npy, .npz, .h5 or .csv file")


def _write(
    data: Dataset,
    members: Sequence[np.ndarray],
    network: dict[str, Any],
    given: Sequence[Given],
    files: Sequence[str],
    size: int,
    models: Path,
    outputs: Path,
    *,
    diverged: bool = False,
) -> None:
    """Write the models and what they say of every sample, and tell how accurate they are on what they learned, their
    row of `members` (models, N), and on the test samples."""
    stack = load_given(data, network, given, files, diverged=diverged)
    numbers = {name: [getattr(model, name) for model in given] for name in ("original", "set", "run")}
    numbers["seed"] = [-1] * len(given)
    write_models(models, outputs, stack, images_on(data, device()), None, numbers, size)
    with hdf5(outputs) as file:
        _tell(_accuracies(data, files, members, file["logits"]), files, data.classes)


def load_given(
    data: Dataset, network: dict[str, Any], given: Sequence[Given], files: Sequence[str], *, diverged: bool = False
) -> stacks.Stack:
    """The stack of the models in `files`. Raises InputError as the steps do; see `load_module` for `diverged`."""
    for model, path in zip(given, map(Path, files), strict=True):
        _check_same(path, model.sha256)
    network = network | {"shape": data.images.shape[1:], "classes": data.classes}
    modules = [load_module(Path(path), network, diverged=diverged) for path in files]
    return stacks.of_modules(network, modules, device())


def _check_same(path: Path, digest: str) -> None:
    """Raise InputError for a file that is not, or no longer, the one that its address is of."""
    if not path.is_file() or sha256_of(path) != digest:
        raise InputError(
            f"{path}: is gone, or its bytes have changed since this run of the workflow was planned, and its result"
            " would lie at an address that is not its own: start the workflow again"
        )


def _accuracies(
    data: Dataset, files: Sequence[str], members: Iterable[np.ndarray], logits: Iterable[np.ndarray]
) -> list[tuple[float, float]]:
    """The accuracy in percent of each model, by its (N, classes) logits, on what it learned, its row of `members`
    (models, N), and on the test samples that are not among these."""
    found = []
    for path, learned, said in zip(files, members, logits, strict=True):
        found.append((accuracy(said, data.labels, learned), accuracy(said, data.labels, data.test & ~learned)))
        LOG.info("%s: accuracy %.2f%% on what it learned, %.2f%% on test", path, *found[-1])
    return found


def _tell(accuracies: Sequence[tuple[float, float]], files: Sequence[str], classes: int) -> None:
    """Show how accurate the models are, and which of them look as if they had been given other images."""
    whole = [pair for pair in accuracies if not np.isnan(pair).any()]
    if whole:
        learned, tested = (span(f"{min(part):.2f}", f"{max(part):.2f}") for part in zip(*whole, strict=True))
        tell(f"models from files: accuracy {learned}% on what they learned, {tested}% on test")
    halfway = 50 + 50 / classes  # between guessing and knowing
    for path, (value, _) in zip(files, accuracies, strict=True):
        if np.isnan(value):
            tell(f"{path}: has diverged: its logits are no finite numbers")
        elif value < halfway:
            tell(
                f"{path}: only {value:.2f}% on what it learned: was it trained on images that were normalised (then"
                " the config's network wants `normalise`), or with classes in another order?"
            )


if __name__ == "__main__":
    main(originals, retrained, submitted, references, inclusion)
