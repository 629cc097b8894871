"""Steps: models from files, in place of those that the workflow would train or unlearn: held against the network and
written as a step that trains writes its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amun_steps.judging.metrics import accuracy
from amun_steps.steps.subsets import load_forget
from amun_steps.steps.train import write_models
from amun_steps.store.arrays import hdf5
from amun_steps.store.progress import LOG, tell
from amun_steps.store.step import InputError, Output, main, sha256, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import Dataset, load
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
    found = []
    with hdf5(outputs) as file:
        for path, learned, logits in zip(files, members, file["logits"], strict=True):
            found.append((accuracy(logits, data.labels, learned), accuracy(logits, data.labels, data.test)))
            LOG.info("%s: accuracy %.2f%% on what it learned, %.2f%% on test", path, *found[-1])
    _tell(found, files, data.classes)


def load_given(
    data: Dataset, network: dict[str, Any], given: Sequence[Given], files: Sequence[str], *, diverged: bool = False
) -> stacks.Stack:
    """The stack of the models in `files`. Raises InputError as the steps do; see `load_module` for `diverged`."""
    network = network | {"shape": data.images.shape[1:], "classes": data.classes}
    modules = []
    for model, path in zip(given, map(Path, files), strict=True):
        if not path.is_file() or sha256(path) != model.sha256:
            raise InputError(
                f"{path}: is gone, or its bytes have changed since this run of the workflow was planned, and its result"
                " would lie at an address that is not its own: start the workflow again"
            )
        modules.append(load_module(path, network, diverged=diverged))
    return stacks.of_modules(network, modules, device())


def _tell(accuracies: Sequence[tuple[float, float]], files: Sequence[str], classes: int) -> None:
    """Show how accurate the models are, and which of them look as if they had been given other images."""
    whole = [pair for pair in accuracies if not np.isnan(pair).any()]
    if whole:
        learned, tested = (f"{min(part):.2f} to {max(part):.2f}%" for part in zip(*whole, strict=True))
        tell(f"{len(files)} models from files, accuracy {learned} on what they learned, {tested} on test")
    halfway = 50 + 50 / classes  # between guessing and knowing
    for path, (value, _) in zip(files, accuracies, strict=True):
        if np.isnan(value):
            tell(f"{path}: has diverged: its logits are no finite numbers")
        elif value < halfway:
            tell(
                f"{path}: only {value:.2f}% on what it learned: was it trained on images that were normalised in"
                " another way, or with classes in another order?"
            )


if __name__ == "__main__":
    main(originals, retrained, submitted)
