"""Workflows that run on one store at once, such as those of two clones: no two may make the same file.

The files of an artifact would be the same bytes, but Snakemake deletes what a job makes before the job starts, and so
from under the jobs of the other workflow that read it.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from amun_steps.store.addresses import STORE
from amun_steps.store.step import InputError

NAME = ".running"
"""The file in a store that is locked while somebody looks; with a suffix, the list of files of a workflow that runs."""

_mine = None
"""This process's list: locked as long as the process lives, however it ends."""


def reserve(files: Collection[str], store: Path = STORE) -> None:
    """Reserve files of the store, by their paths in results/, until this process ends.

    Raises InputError where another workflow that runs has reserved one of them. Where the file system has no locks
    nothing is reserved.
    """
    global _mine
    store.mkdir(parents=True, exist_ok=True)
    try:
        with open(store / NAME, "a") as door:
            fcntl.flock(door, fcntl.LOCK_EX)  # one at a time, until it is closed
            for path in store.glob(f"{NAME}.*"):
                _check(files, path, store)
            _mine = tempfile.NamedTemporaryFile("w", prefix=f"{NAME}.", dir=store)  # noqa: SIM115  gone with this process
            os.chmod(_mine.name, 0o644)
            fcntl.flock(_mine, fcntl.LOCK_EX)
            print(f"process {os.getpid()} on {socket.gethostname()}", *files, sep="\n", file=_mine, flush=True)
    except OSError:
        return


def _check(files: Collection[str], path: Path, store: Path) -> None:
    """Raise InputError where the workflow with the list at `path` runs and makes one of `files`; a list that a killed
    one left is deleted."""
    with suppress(FileNotFoundError), open(path) as theirs:
        try:
            fcntl.flock(theirs, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            who, *reserved = theirs.read().splitlines()
        else:
            path.unlink()
            return
        if common := sorted(set(files) & set(reserved)):
            raise InputError(
                f"{store}: another workflow ({who}) is making what this one would make too, such as {common[0]}; start"
                " this one again when the other has ended"
            )
