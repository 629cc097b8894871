"""The SHA-256 of files that a person gave, kept so that a large one is not read again each time a config is planned."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from amun_steps.store.addresses import STORE
from amun_steps.store.step import sha256, write_whole

KEPT = STORE.parent / ".sha256"

SETTLED = 2_000_000_000
"""ns: a file that is younger could be changed again without another time stamp, so it is not kept."""


def known_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes: as it was kept where path, size and time stamp are those of then.

    Raises OSError for a file that cannot be read.
    """
    found = path.stat()
    about = {"path": os.path.abspath(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    kept = KEPT / f"{hashlib.sha256(about['path'].encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError):
        before = json.loads(kept.read_text(encoding="utf-8"))
        if before | about == before:
            return before["sha256"]
    about["sha256"] = sha256(path)
    if time.time_ns() - found.st_mtime_ns > SETTLED:
        with suppress(OSError):  # a plan may be looked at where nothing can be written
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, lambda file: file.write_text(json.dumps(about), encoding="utf-8"))
    return about["sha256"]
