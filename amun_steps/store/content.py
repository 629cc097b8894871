"""What is in files that a person gave: SHA-256 that are part of addresses, kept so that none is read each time."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from amun_steps.store.addresses import STORE, canonical
from amun_steps.store.receipts import sha256
from amun_steps.store.step import InputError, write_whole

CACHE = STORE.parent / "digests.json"
"""SHA-256 of files, by absolute path, with the size and time stamp (ns) that they had."""

SETTLED = 2_000_000_000
"""ns: a file that is younger could be changed again without another time stamp, so it is not kept."""


def digest(files: Mapping[str, Path], *, cached: bool = True) -> str:
    """SHA-256 (hex) of all `files`' names, sizes and bytes; the paths behind the names do not count.

    A file whose size and time stamp are those of before is only read again where not `cached`. Two processes may write
    what they keep at the same time: the last one's is there, and what it lacks is read once more. Raises InputError,
    naming it, for a file that cannot be read.
    """
    found = _stated(list(files.values()), cached)
    return hashlib.sha256(canonical(dict(zip(files, found, strict=True))).encode()).hexdigest()


def known_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, kept as `digest` does. Raises InputError for one that cannot be read."""
    return known_sha256s([path])[0]


def known_sha256s(paths: Sequence[Path]) -> list[str]:
    """The `known_sha256` of each file; what is kept is read and written once."""
    return [digest for _, digest in _stated(paths, cached=True)]


def _stated(paths: Sequence[Path], cached: bool) -> list[tuple[int, str]]:
    """The size and SHA-256 of each file."""
    known = _known() if cached else {}
    new, found = {}, []
    for path in paths:
        key = os.path.abspath(path)
        try:
            state = os.stat(path)
            size, stamp, *rest = known.get(key) or (None, None)
            if (size, stamp) != (state.st_size, state.st_mtime_ns):
                rest = [sha256(path)]
                if time.time_ns() - state.st_mtime_ns > SETTLED:
                    new[key] = [state.st_size, state.st_mtime_ns, *rest]
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        found.append((state.st_size, *rest))
    if new:
        with suppress(OSError):  # a plan may be looked at where nothing can be written
            CACHE.parent.mkdir(exist_ok=True)
            write_whole(CACHE, lambda path: path.write_text(json.dumps(_known() | new), encoding="utf-8"))
    return found


def _known() -> dict[str, list]:
    try:
        return json.loads(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
