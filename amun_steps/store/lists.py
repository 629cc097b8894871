"""Lists of samples that a person made: a text or CSV file, one sample a line."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from amun_steps.store.addresses import canonical
from amun_steps.store.step import InputError

TITLES = ("sample", "index", "name", "file")
"""What the first column of a CSV file may be called."""


def read_list(path: Path) -> list[int | str]:
    """The samples that a file lists: the first column, whole numbers or names; empty lines and those of # do not count.

    Raises InputError, with file and line, for one that cannot be read, that lists nothing, or a sample twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path}: cannot be read: {why}; expected a text or CSV file with one sample a line") from None
    found: dict[int | str, int] = {}
    for number, line in enumerate(lines, 1):
        cell = line.split(",")[0].strip().strip('"')
        if not cell or cell.startswith("#") or (not found and cell.lower() in TITLES):
            continue
        sample = int(cell) if cell.isascii() and cell.isdigit() else cell
        if sample in found:
            raise InputError(
                f"{path}, line {number}: {cell} is listed twice, first in line {found[sample]}; remove one"
            )
        found[sample] = number
    if not found:
        raise InputError(
            f"{path}: lists no sample; expected one a line, as a number or, where the data have them, a name"
        )
    return list(found)


def digest(samples: Sequence[int | str]) -> str:
    """SHA-256 (hex) of which samples a list has, in whatever order."""
    return hashlib.sha256(canonical(sorted(samples, key=str)).encode()).hexdigest()


def numbers_of(
    samples: Sequence[int | str], train: int, count: int, where: str, names: Sequence[str] | None = None
) -> list[int]:
    """The numbers, in [0, train), of listed samples of a data set of `count`, `train` of which are for training.

    names: those of all samples, where the data have them. where: what an error begins with. Raises InputError for
    samples that are not there, that are for testing, given by number and by name, or all that there are.
    """
    known = {name: number for number, name in enumerate(names)} if names is not None else {}
    found: dict[int, int | str] = {}
    for sample in samples:
        number = known.get(sample) if isinstance(sample, str) else sample
        if number is None:
            expected = (
                "one of the names of its samples" if known else f"a number below {train}, since they have no names"
            )
            raise InputError(f"{where}: found {sample!r}, expected {expected}")
        if number >= count:
            raise InputError(
                f"{where}: found {sample}, expected a number below {train}: so many samples are for training"
            )
        if number >= train:
            raise InputError(
                f"{where}: {sample} is a test sample; only those of the training set can be forgotten, which have the"
                f" numbers below {train}"
            )
        if number in found:
            raise InputError(f"{where}: {found[number]} and {sample} are the same sample; remove one")
        found[number] = sample
    if len(found) == train:
        raise InputError(f"{where}: lists all {train} training samples; expected a list that leaves something to keep")
    return list(found)


def left_of(train: int, lists: Sequence[Sequence[int]], where: str) -> list[int]:
    """The numbers, in [0, train), of the training samples that no list has; as many as the first one has are drawn of
    them for tuning. where: what an error begins with. Raises InputError where that would leave nothing to keep."""
    listed = {int(number) for numbers in lists for number in numbers}
    free = [number for number in range(train) if number not in listed]
    if len(free) <= len(lists[0]):
        raise InputError(
            f"{where}: the lists leave {len(free)} training samples, expected more than the {len(lists[0])} of the"
            " first: as many are drawn for tuning, and something is to be kept"
        )
    return free
