"""Packs: tar files of artifacts for another store, which `amun store unpack` reads.

Their first member is a manifest of what is in them; then follows each artifact, after its receipt, under its path in a
clone. Any tar program reads one. They are not compressed: floats hardly get smaller.
"""

import hashlib
import io
import json
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from amun_steps.store.addresses import STORE
from amun_steps.store.progress import EVERY, LOG
from amun_steps.store.receipts import RECEIPT
from amun_steps.store.step import InputError, write_whole

MANIFEST = "amun-pack.json"
ARTIFACT = re.compile(rf"{STORE.as_posix()}/([A-Za-z0-9_-]+-[0-9a-f]{{12}}/)+[A-Za-z0-9][A-Za-z0-9_-]*\.[a-z0-9]+")
"""The path of an artifact in a clone: in folders of slugs, with no dot but that of its suffix."""


@dataclass(frozen=True)
class PackedStage:
    """A stage as its address has it; builds_on: slugs."""

    kind: str
    parameters: dict[str, Any]
    code: list[str]
    builds_on: list[str]


@dataclass(frozen=True)
class PackedFile:
    """An artifact: its stage's slug, the SHA-256 (hex) of its bytes, how many they are, and its receipt's SHA-256."""

    stage: str
    sha256: str
    bytes: int
    receipt: str


@dataclass(frozen=True)
class Manifest:
    """What a pack is.

    config_file, config: what it was packed for. commit: the newest of the code that packed it, if that is known.
    made_with: the devices and versions of packages that made the files. stages: by slug, those of the files and all
    that they build on, each after what it builds on. files: by path in a clone, in the order in which they lie in the
    pack.
    """

    format: Literal["amun pack 1"]
    purpose: Literal["everything", "scoring"]
    packed: str
    config_file: str
    config: dict[str, Any]
    commit: str | None
    made_with: dict[str, list[str]]
    stages: dict[str, PackedStage]
    files: dict[str, PackedFile]


def write_pack(path: Path, manifest: Manifest) -> None:
    """Write the files of a manifest, from this clone's store, into a pack that appears whole or not at all.

    Raises InputError where `path` is there already, and for an artifact whose bytes are not its receipt's.
    """
    if path.exists():
        raise InputError(f"{path}: is there already; give another name, or delete it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: found no folder {path.parent}")
    check_room(path.parent, sum(file.bytes for file in manifest.files.values()))

    def write(scratch: Path) -> None:
        with tarfile.open(scratch, "w") as tar:
            _add(tar, MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
            for name, file in told("packed", manifest.files):
                _add(tar, name + RECEIPT, Path(name + RECEIPT).read_bytes())
                with open(name, "rb") as source:
                    reader = Hashing(source)
                    tar.addfile(_member(name, file.bytes), reader)
                if reader.digest.hexdigest() != file.sha256:
                    raise InputError(
                        f"{name}: its bytes are not those that its step wrote; delete it, start the workflow again,"
                        " and it is made again"
                    )

    write_whole(path, write)


class Hashing:
    """A file that is read once, and the SHA-256 of what was read."""

    def __init__(self, file: Any):
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        return data


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_member(name, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """The header of a member: the same on every machine, for every user."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def told(done: str, files: dict[str, PackedFile]) -> Iterator[tuple[str, PackedFile]]:
    """The files of a pack, one after the other; a line says how far that is, when EVERY seconds have passed."""
    passed, total, told = 0, sum(file.bytes for file in files.values()), time.monotonic()
    for name, file in files.items():
        yield name, file
        passed += file.bytes
        if time.monotonic() - told >= EVERY:
            told = time.monotonic()
            LOG.info("%s %s of %s bytes", done, f"{passed:,}", f"{total:,}")


def check_room(folder: Path, needed: int) -> None:
    """Raise InputError unless as many bytes are free for `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"{folder}: found {free:,} bytes free, expected {needed:,}; make room")
