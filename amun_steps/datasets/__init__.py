"""Data sets, one file each, found by their name in the config: a module has `read(**parameters)` -> images, labels and
train, as in `Data`, which may follow them with names. All parameters are keyword-only; one called `folder` is in no
address. `read` raises InputError (of `amun_steps.store.step`) when the files are not what they should be, naming the
one that is not.

A module whose files are anybody's has `files(**parameters) -> dict[str, Path]`: those that `read` reads, each by a name
that does not depend on where they lie. Their names, sizes and bytes are then part of the address.

A module may also have `sizes(**parameters) -> Sizes`: what `read` will give, without reading a file. Then a config that
does not fit the data is refused before anything runs, and the plan need not read them. It raises InputError,
beginning with the parameter, for parameters that cannot be. Snakemake imports a module that has it each time that it
starts, so what takes long to import belongs into `read`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from amun_steps.store.step import InputError


class Data(NamedTuple):
    """What a reader gives: images (N, channels, height, width) uint8, labels (N,) int from 0 and train (N,) bool.

    names: (N,) one for each sample, by which a person finds it, where samples have names. classes: the classes'.
    """

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    names: Sequence[str] | None = None
    classes: Sequence[str] | None = None


@dataclass(frozen=True)
class Sizes:
    """A data set's training and test samples, the (channels, height, width) of its images, and its classes.

    untested: classes that no test image is of. names: those of the samples, training ones first, where they have some.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    untested: Sequence[int] = ()
    names: Sequence[str] | None = field(default=None, compare=False, repr=False)


def share_of(train: int, fraction: float, key: str, times: int = 1) -> int:
    """How many of `train` samples a forget set, or each of `times` disjoint ones, has that is this fraction of them.

    Raises InputError, naming the config's `key`, for a fraction that leaves nothing to forget or nothing to keep.
    """
    size = round(fraction * train)
    if not 0 < times * size < train:
        found = f"{size} of {train} training samples" + (f", {times} times" if times > 1 else "")
        raise InputError(
            f"{key}: found {fraction}, which is {found}; expected a share that leaves at least one to forget and one to"
            " keep"
        )
    return size


def other_classes(count: int, classes: Sequence[Sequence[int]], key: str, untested: Collection[int] = ()) -> list[int]:
    """Those of `count` classes that no set of classes to forget has; of them a tuning set is drawn, like the first.

    untested: classes that no test image is of; a class to forget is told from its test images, so it is none of these.
    Raises InputError, naming the config's `key`, for classes that are not there, and where too few others are left.
    """
    asked = {number for wanted in classes for number in wanted}
    if max(asked) >= count:
        raise InputError(f"{key}: found {max(asked)}, expected classes from 0 to {count - 1}")
    if without := asked & set(untested):
        raise InputError(
            f"{key}: found {min(without)}, a class without test images; expected one with some, as what is forgotten is"
            " told from test images of its class"
        )
    free = sorted(set(range(count)) - asked)
    if len(free) <= len(classes[0]):
        raise InputError(
            f"{key}: {len(free)} of {count} classes are left, expected more than {len(classes[0])}: as many are"
            " forgotten while tuning, and something is to be kept"
        )
    tested = [number for number in free if number not in untested]
    if len(tested) < len(classes[0]):
        raise InputError(
            f"{key}: {len(tested)} of the {len(free)} classes that are left have test images, expected"
            f" {len(classes[0])}: as many are forgotten while tuning"
        )
    return tested
