"""Packs of other stores, put into this one: the command `amun store unpack`.

A pack may come from anybody, so nothing in it is taken on trust.
"""

import hashlib
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from amun_steps.store.addresses import STORE, address
from amun_steps.store.packs import ARTIFACT, MANIFEST, Hashing, Manifest, PackedFile, check_room, told
from amun_steps.store.receipts import RECEIPT, sha256
from amun_steps.store.step import InputError, write_whole

LONGEST = 2**26  # bytes of a manifest or a receipt: they are read into memory


def unpack(pack: Path, *, store: Path = STORE) -> None:
    """Put the artifacts of a pack into the store, each checked against its SHA-256 before it appears.

        amun store unpack references.tar

    What is there already stays. Says at the end whether the code here will use what was unpacked.

    Raises InputError, before anything is written, where a file of the store has other bytes than the pack's, and for a
    manifest that lists anything but artifacts of a store; and for a pack that is damaged or has other members.
    """
    if not pack.exists() or pack.is_dir():
        raise InputError(f"{pack}: found no such file")
    try:
        with tarfile.open(pack, "r|") as tar:  # in one pass: no member is looked for, each is the next one or wrong
            reader = _Reader(pack, tar)
            manifest = reader.manifest()
            places = {name: store / PurePosixPath(name).relative_to(STORE) for name in manifest.files}
            there = _there(pack, manifest, places)
            size = sum(file.bytes for name, file in manifest.files.items() if name not in there)
            print(
                f"{pack}: {len(places) - len(there)} files to unpack, {size:,} bytes; {len(there)} are there already",
                flush=True,
            )
            store.mkdir(parents=True, exist_ok=True)
            check_room(store, size)
            for name, file in told("unpacked", manifest.files):
                reader.put(name, file, None if name in there else places[name])
            reader.end()
    except tarfile.TarError as error:
        raise _damaged(pack, f"{error}") from None
    print(f"All of it lies in {store.resolve()}\n{_use(manifest)}")


def _damaged(pack: Path, what: str) -> InputError:
    return InputError(
        f"{pack}: is no pack, or is truncated or damaged: {what}. What was unpacked so far is whole: copy the"
        " pack again, and start this again"
    )


def _there(pack: Path, manifest: Manifest, places: dict[str, Path]) -> set[str]:
    """The files of a pack that the store has. Raises InputError for those that it has with other bytes."""
    there = {name for name, place in places.items() if place.exists()}
    other = [name for name in sorted(there) if sha256(places[name]) != manifest.files[name].sha256]
    if other:
        lines = [f"{places[name]} has other bytes than {name} in {pack}" for name in other]
        raise InputError(
            "\n".join([*lines, "Nothing was unpacked: move away those here, or unpack into another --store"])
        )
    return there


@dataclass(frozen=True)
class _Reader:
    """A pack that is read from its beginning to its end."""

    pack: Path
    tar: tarfile.TarFile

    def manifest(self) -> Manifest:
        """The manifest, which lists nothing but artifacts of a store."""
        try:
            manifest = TypeAdapter(Manifest).validate_json(self._small(MANIFEST))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))[:200]
            raise _damaged(self.pack, f"{MANIFEST}: {key!r}: {first['msg'][:200]!r}") from None
        for name, file in manifest.files.items():
            if not ARTIFACT.fullmatch(name):
                raise InputError(f"{self.pack}: {MANIFEST} lists {name!r}, which is no artifact of a store")
            if file.stage not in manifest.stages:
                raise _damaged(self.pack, f"{MANIFEST} does not say what made {name}")
        return manifest

    def put(self, name: str, file: PackedFile, place: Path | None) -> None:
        """Put the next artifact and its receipt at `place`, once both are known to be what the manifest says; pass over
        them where that is None."""
        receipt = self._small(name + RECEIPT)
        if hashlib.sha256(receipt).hexdigest() != file.receipt or _recorded(receipt) != file.sha256:
            raise _damaged(self.pack, f"{name + RECEIPT} is not what {MANIFEST} says")
        member = self._next(name)
        if place is None:
            return
        if member.size != file.bytes:
            raise _damaged(self.pack, f"{name} has {member.size:,} bytes, but {file.bytes:,} in {MANIFEST}")

        def write(scratch: Path) -> None:
            source = Hashing(self.tar.extractfile(member))
            with open(scratch, "wb") as out:
                shutil.copyfileobj(source, out)
            if source.digest.hexdigest() != file.sha256:
                raise _damaged(self.pack, f"{name} has not the bytes that {MANIFEST} says")
            write_whole(place.with_name(place.name + RECEIPT), lambda path: path.write_bytes(receipt))

        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, write)

    def end(self) -> None:
        if extra := self.tar.next():
            raise InputError(f"{self.pack}: has the member {extra.name!r}, which {MANIFEST} does not list")

    def _next(self, name: str) -> tarfile.TarInfo:
        """The next member, which has to be the file `name`."""
        member = self.tar.next()
        if member is None:
            raise _damaged(self.pack, f"it ends before {name}")
        if member.name != name or not member.isreg():
            raise InputError(f"{self.pack}: found the member {member.name!r}, expected the file {name}: it is no pack")
        return member

    def _small(self, name: str) -> bytes:
        member = self._next(name)
        if member.size > LONGEST:
            raise InputError(f"{self.pack}: {name} has {member.size:,} bytes, expected at most {LONGEST:,}")
        return self.tar.extractfile(member).read()


def _recorded(receipt: bytes) -> str | None:
    """The SHA-256 that a receipt says; None for what is no receipt."""
    try:
        return json.loads(receipt)["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _use(manifest: Manifest) -> str:
    """Whether the code here gives what was unpacked the same addresses, and what follows from that."""
    moved: set[str] = set()
    unknown: set[str] = set()
    for slug, stage in manifest.stages.items():
        try:
            same = address(stage.kind, stage.parameters, stage.code, map(_address_in, stage.builds_on))
        except ModuleNotFoundError as error:
            unknown.add(str(error.name))
            continue
        if not moved.isdisjoint(stage.builds_on) or same != _address_in(slug):
            moved.add(slug)
    packed = {file.stage for file in manifest.files.values()}
    if not packed & moved:
        config = f"{manifest.config_file!r} as it was packed for"
        if unknown:
            return (
                "Whether the code here gives it the same addresses cannot be told: it needs"
                f" {', '.join(sorted(unknown))}, such as the `plugins` of a config have. With these and {config},"
                " `amun plan` says what is left to do."
            )
        return f"The code here gives it the same addresses: with {config}, nothing of it runs again."
    kinds = ", ".join(sorted({manifest.stages[slug].kind for slug in packed & moved}))
    return (
        f"But the code here gives other addresses to {len(packed & moved)} of its {len(packed)} stages ({kinds}), and"
        f" nothing here will use those: take the version of the code that packed them (commit"
        f" {manifest.commit or 'unknown'!r}), or see what `amun store adopt` can take over."
    )


def _address_in(slug: str) -> str:
    return slug.rpartition("-")[2]
