"""Steps: which samples are to be forgotten one after the other, and which ones a reference model is trained on."""

from pathlib import Path

import numpy as np

from amun_steps.datasets import share_of
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, main, step
from amun_steps.training.data import load_labels


@step
def requests(*, dataset: Path, name: str, fraction: float, requests: int, sets: int, seed: int, output: Output) -> None:
    """Draw `sets` random sequences of `requests` disjoint sets, each of `fraction` of the training samples (6.3).

    Writes `requests` (sets, requests, N) bool. Raises InputError for a fraction that leaves nothing to forget, or
    nothing to keep after all requests.
    """
    _, train = load_labels(dataset)
    members = np.flatnonzero(train)
    size = share_of(len(members), fraction, f"requests.{name}.fraction", requests)
    chosen = np.zeros((sets, requests, len(train)), dtype=bool)
    for row in range(sets):
        generator = np.random.default_rng(seed_of(seed, "requests", name, row))
        drawn = generator.choice(members, requests * size, replace=False).reshape(requests, size)
        np.put_along_axis(chosen[row], drawn, True, axis=1)
    write_arrays(output, {"requests": chosen})


def load_requests(path: Path) -> np.ndarray:
    """(sets, requests, N) bool: the sequences of requests in an HDF5 file."""
    with hdf5(path) as file:
        return file["requests"][:]


@step
def inclusion(*, dataset: Path, references: int, seed: int, output: Output) -> None:
    """Draw the inclusion matrix of RMIA's reference models: `inclusion` (references, N) bool over train + test.

    Each column is ranked by uniform draws and its lower half is in, so that each sample is in exactly half of the
    models. Raises ValueError for an odd number of references.
    """
    if references % 2:
        raise ValueError(f"references: found {references}, expected an even number")
    labels, _ = load_labels(dataset)
    draws = np.random.default_rng(seed_of(seed, "inclusion")).random((references, len(labels)))
    write_arrays(output, {"inclusion": draws.argsort(axis=0).argsort(axis=0) < references // 2})


def load_inclusion(path: Path) -> np.ndarray:
    """(references, N) bool: the inclusion matrix in an HDF5 file."""
    with hdf5(path) as file:
        return file["inclusion"][:]


if __name__ == "__main__":
    main(requests, inclusion)
