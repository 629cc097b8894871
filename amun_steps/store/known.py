"""The SHA-256 of files that a person gave, kept so that a large one is not read again each time a config is planned."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from amun_steps.store.addresses import STORE
from amun_steps.store.step import sha256, write_whole

KEPT = STORE.parent / ".sha256"


def known_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes: as it was kept where path, size and time of change are those of then.

    Raises OSError for a file that cannot be read.
    """
    found = path.stat()
    about = {"path": str(path.absolute()), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    kept = KEPT / f"{hashlib.sha256(about['path'].encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError):
        before = json.loads(kept.read_text(encoding="utf-8"))
        if {**before, **about} == before:
            return before["sha256"]
    about["sha256"] = sha256(path)
    with suppress(OSError):  # in a folder that cannot be written to it is read each time
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, lambda file: file.write_text(json.dumps(about), encoding="utf-8"))
    return about["sha256"]
