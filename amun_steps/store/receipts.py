"""Receipts: beside every artifact, what made it, out of what, with which code and packages, where and in what time."""

import hashlib
import json
import platform
import resource
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from amun_steps.store.addresses import address_in, plain
from amun_steps.store.errors import InputError

RECEIPT = ".json"

RECORDED = ("torch", "torchvision", "timm", "numpy", "h5py", "matplotlib", "pandas", "pillow", "scikit-learn", "scipy")
"""The packages whose versions a receipt has: those that numbers and figures depend on."""


def receipt_of(
    path: Path,
    file: Path,
    *,
    step: str,
    parameters: Mapping[str, Any],
    inputs: Sequence[Path],
    code: str | None,
    began: datetime,
    resumed: bool,
    seconds: float,
) -> str:
    """The receipt, as JSON, of the artifact that is to lie at `path` and now is in `file`.

    step: the dotted name of the function that made it from `inputs` with `parameters`. code: the fingerprint of its
    code. began, seconds: when it was started, and how long it took; resumed: whether it went on with what an attempt
    before had done, whose seconds nobody knows.
    """
    receipt = {
        "address": address_in(path),
        "step": step,
        "parameters": parameters,
        "inputs": [{"path": p.as_posix(), "sha256": recorded_sha256(p)} for p in inputs],
        "code": code,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device_name(),
        "host": socket.gethostname(),
        "began": began.isoformat(timespec="seconds"),
        "resumed": resumed,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return json.dumps(receipt, indent=1, default=plain, allow_nan=False) + "\n"


def read_receipt(path: Path) -> dict[str, Any] | None:
    """The receipt of the artifact at `path`, None where there is none. Raises InputError for a file that is none."""
    file = path.with_name(path.name + RECEIPT)
    if not file.is_file():
        return None
    try:
        receipt = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(receipt, dict) or not receipt.keys() >= {"sha256", "inputs"}:
            raise ValueError("it lacks what made the file")
    except ValueError as error:
        raise InputError(
            f"{file}: is no receipt ({error}), or not a whole one; delete it and {path.name}, which is made again"
        ) from None
    return receipt


def recorded_sha256(path: Path) -> str | None:
    """The SHA-256 (hex) that the artifact at `path` has by its receipt, None where there is none."""
    receipt = read_receipt(path)
    return receipt and receipt["sha256"]


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def device_name() -> str:
    """What this process computes on, without importing torch to find out."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu {platform.machine()}"


def _versions() -> dict[str, str]:
    found = {}
    for name in RECORDED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
