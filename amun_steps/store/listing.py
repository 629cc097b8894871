"""Listings: a file that stands for others of its folder, with their SHA-256, in the format of `sha256sum`.

A rule has as many outputs as its pattern says; a listing is one output for any number of files. What builds on them is
given the listing, whose bytes say theirs. `sha256sum --check` reads it as well.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from amun_steps.store.receipts import sha256
from amun_steps.store.step import InputError

LISTING = ".sha256"
LINE = re.compile(r"([0-9a-f]{64})  ([^/]+)")


def write_listing(path: Path, files: Sequence[Path]) -> None:
    """Write the listing of `files`, in their order."""
    path.write_text("".join(f"{sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")


def read_listing(path: Path) -> list[Path]:
    """The files that a listing names, in its order. Raises InputError for one that is missing or has other bytes."""
    for _, fault in faults(path):
        raise InputError(fault)
    return [file for file, _ in _lines(path)]


def faults(path: Path, digest: Callable[[Path], str] = sha256) -> Iterator[tuple[Path, str]]:
    """The files that are not as a listing says, each with what is wrong and what to do."""
    for file, expected in _lines(path):
        if not file.is_file():
            fault = f"found no such file, but {path.name} beside it lists it; delete {path}"
        elif digest(file) != expected:
            fault = f"its bytes are not those that {path.name} beside it lists; delete it and {path}"
        else:
            continue
        yield file, f"{file}: {fault} and start the same command again: what is missing is made again"


def _lines(path: Path) -> list[tuple[Path, str]]:
    """Each file of a listing and its SHA-256."""
    try:
        lines = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, and it is made again") from None
    if not lines or not all(lines):
        raise InputError(f"{path}: no listing of files with their SHA-256; delete it, and it is made again")
    return [(path.with_name(line[2]), line[1]) for line in lines]
