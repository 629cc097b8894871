"""What is in the store of results, by its receipts: the commands `amun store ls | why | diff | verify`."""

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

from amun_steps.store.addresses import STORE, leaves
from amun_steps.store.listing import LISTING, faults
from amun_steps.store.receipts import RECEIPT, read_receipt, sha256
from amun_steps.store.step import InputError


def artifacts(store: Path) -> list[Path]:
    """All artifacts in a store, in the order of their paths; not their receipts, nor what a killed step left.

    Raises InputError for a store that is not there.
    """
    check_there(store)
    files = (p for p in store.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in files if not _is_receipt(p))


def check_there(store: Path) -> None:
    if not store.is_dir():
        raise InputError(f"{store}: found no such folder; give the store's with --store, or start where results/ lies")


def _is_receipt(path: Path) -> bool:
    """By its two suffixes: also where the artifact was deleted."""
    return path.suffix == RECEIPT and bool(Path(path.stem).suffix)


def ls(store: Path = STORE) -> None:
    """List every artifact: its size, the seconds its step took, when, and its path.

    amun store ls | tail
    """
    for path in artifacts(store):
        receipt = read_receipt(path) or {"seconds": float("nan"), "began": "no receipt"}
        print(f"{path.stat().st_size:>12,} B {receipt['seconds']:>9.1f} s  {receipt['began']:<25}  {path}")


def why(path: Path) -> None:
    """Say what made an artifact: its step and parameters, and the same of everything that it was made from.

    amun store why results/tables/table1.csv
    """
    _tell(path, 0, set())


def _receipt_of(path: Path) -> dict[str, Any]:
    receipt = read_receipt(path)
    if receipt is None:
        raise InputError(f"{path}: found no receipt {path.name + RECEIPT} beside it: not an artifact of this store")
    return receipt


def _tell(path: Path, depth: int, told: set[Path]) -> None:
    receipt, indent = _receipt_of(path), "  " * depth
    print(f"{indent}{path}")
    if path in told:
        print(f"{indent}  (see above)")
        return
    told.add(path)
    print(f"{indent}  {receipt['step']}, {receipt['seconds']} s on {receipt['device']}, {receipt['began']}")
    for name, value in receipt["parameters"].items():
        print(f"{indent}  {name}: {json.dumps(value)}")
    if "adopted" in receipt:
        adopted = receipt["adopted"]
        proof = ", ".join(source["path"] for source in adopted["evidence"]["files"])
        why = f"this code made the same bytes of {proof}" if proof else "the same code made it from the same bytes"
        print(f"{indent}  taken over from {adopted['from']}: {why}")
    for source in receipt["inputs"]:
        if read_receipt(Path(source["path"])):
            _tell(Path(source["path"]), depth + 1, told)
        else:
            print(f"{indent}  {source['path']}\n{indent}    (not here; SHA-256 {source['sha256']})")


def _place(path: str, store: Path) -> Path:
    """Where a file that a receipt names lies, if it is one of a store."""
    return store / Path(path).relative_to(STORE) if Path(path).is_relative_to(STORE) else Path(path)


def diff(a: Path, b: Path) -> None:
    """Say in what two artifacts' receipts differ: parameters, inputs, code, versions, device and bytes.

    amun store diff results/tables/table1.csv ../elsewhere/results/tables/table1.csv
    """
    left, right = (dict(leaves(_receipt_of(path))) for path in (a, b))
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            print(f"{name}:\n  - {left.get(name)}\n  + {right.get(name)}")


def verify(store: Path = STORE) -> None:
    """Check the bytes of every artifact against its receipt; exits with 1 and names those that differ or have none, and
    those that a listing has and that are missing.

    Also says which ones others were made from with other bytes, such as a data set that was made anew.

    amun store verify
    amun store verify --store /archive/results/store
    """
    found, bad, other, digest = artifacts(store), {}, Counter(), functools.cache(sha256)

    @functools.cache
    def receipt_at(path: Path) -> dict[str, Any] | None:
        try:
            return read_receipt(path)
        except InputError as error:
            bad[path] = f"{error}"
            return None

    for path in found:
        receipt = receipt_at(path)
        if receipt is None:
            bad.setdefault(path, f"{path}: has no receipt")
        elif digest(path) != receipt["sha256"]:
            bad[path] = f"{path}: its bytes are not those that its step wrote; delete it, and it is made again"
        for source in receipt["inputs"] if receipt else ():
            place = _place(source["path"], store)
            now = place.is_file() and receipt_at(place)
            other[place] += bool(now) and source["sha256"] not in (None, now["sha256"])
    for path in found:
        if path.suffix == LISTING and path not in bad:
            bad.update(faults(path, digest))
    for place, count in sorted((+other).items()):
        print(
            f"{place}: {count} artifacts were made from one of other bytes: of other content, or written by other"
            " versions of the packages; compare those in its receipt with theirs"
        )
    print("\n".join([*bad.values(), f"{len(found)} artifacts, {len(bad)} of them bad or missing"]))
    if bad:
        raise SystemExit(1)
