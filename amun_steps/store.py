"""The store of results, read by its receipts.

`python -m amun_steps.store ls | why PATH | diff A B | verify | gc` answers what is there, what made it, how two
artifacts differ, whether every byte is still what was written, and what no config asks for any more. `adopt` takes over
what an older version of the code has computed.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amun_steps.addresses import STORE
from amun_steps.config import leaves
from amun_steps.steps import RECEIPT, InputError, is_scratch, main, read_receipt, sha256, whole_of
from amun_steps.views import load_file

HOUR = 3600.0  # seconds


def artifacts(store: Path) -> list[Path]:
    """All artifacts in a store, in the order of their paths; not their receipts, nor what a killed step left.

    Raises InputError for a store that is not there.
    """
    _check_there(store)
    files = (p for p in store.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in files if not _is_receipt(p))


def _check_there(store: Path) -> None:
    if not store.is_dir():
        raise InputError(f"{store}: found no such folder; give the store's with --store, or start where results/ lies")


def _is_receipt(path: Path) -> bool:
    return path.name.endswith(RECEIPT) and path.with_name(path.name.removesuffix(RECEIPT)).is_file()


def ls(store: Path = STORE) -> None:
    """List every artifact: its size, the seconds its step took, when, and its path."""
    for path in artifacts(store):
        receipt = read_receipt(path) or {"seconds": float("nan"), "began": "no receipt"}
        print(f"{path.stat().st_size:>12,} B {receipt['seconds']:>9.1f} s  {receipt['began']:<25}  {path}")


def why(path: Path) -> None:
    """Say what made an artifact: its step and parameters, and the same of everything that it was made from."""
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
        _tell(Path(source["path"]), depth + 1, told)


def diff(a: Path, b: Path) -> None:
    """Say in what two artifacts' receipts differ: parameters, inputs, code, versions, device and bytes."""
    left, right = (dict(leaves(_receipt_of(path))) for path in (a, b))
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            print(f"{name}:\n  - {left.get(name)}\n  + {right.get(name)}")


def verify(store: Path = STORE) -> None:
    """Check the bytes of every artifact against its receipt; exits with 1 and names those that differ or have none."""
    found, bad = artifacts(store), []
    for path in found:
        receipt = read_receipt(path)
        if receipt is None:
            bad.append(f"{path}: has no receipt")
        elif sha256(path) != receipt["sha256"]:
            bad.append(f"{path}: its bytes are not those that its step wrote; delete it, and it is made again")
    print("\n".join([*bad, f"{len(found)} artifacts, {len(bad)} of them bad"]))
    if bad:
        raise SystemExit(1)


def gc(*configs: Path, store: Path = STORE, delete: bool = False) -> None:
    """List what no stage of `configs`, with the code as it is now, names, and what killed jobs left in the store and
    beside the views, with its size; with --delete, delete it."""
    if not configs:
        raise InputError("gc: name the configs whose results are to stay, such as config/quickstart.yaml")
    _check_there(store)
    plans = [load_file(path) for path in configs]
    unwanted = list(_unwanted(store, {slug for plan in plans for slug in plan.stages}))
    unwanted += [path for path in _abandoned(store) if not {*path.parents} & {*unwanted}]
    sizes = [sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file()) for path in unwanted]
    for path, size in zip(unwanted, sizes, strict=True):
        print(f"{size:>12,} B  {path}")
        if delete and path.is_dir():
            shutil.rmtree(path)
        elif delete:
            path.unlink(missing_ok=True)
    print(
        f"{sum(sizes):>12,} B  in all{', deleted' if delete else '; nothing was deleted: that is what --delete is for'}"
    )


def _unwanted(folder: Path, slugs: set[str]) -> Iterator[Path]:
    """The outermost folders inside `folder` that are not named by one of `slugs`; a hidden one is work that goes on."""
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if inner.name in slugs:
            yield from _unwanted(inner, slugs)
        else:
            yield inner


def _abandoned(store: Path) -> Iterator[Path]:
    """What killed steps left: files that were being written, and partial work of artifacts that are there. A file that
    was written to in the last hour may be a running step's."""
    views = [store.parent / name for name in ("runs", "tables", "figures")]
    files = (*store.rglob(".*"), *(path for folder in views for path in folder.glob(".*")), *store.parent.glob(".*"))
    for path in sorted(files):
        partial = path.is_dir() and (made := whole_of(path)) is not None and made.is_file()
        if (partial or is_scratch(path)) and time.time() - path.stat().st_mtime > HOUR:
            yield path


def adopt(config: Path, *, profile: str | None = None, dry_run: bool = False) -> None:
    """Take over what an older version of the code has computed of a config, after running a job of each stage anew."""
    from amun_steps.adopt import adopt  # imports torch, which nothing else here needs

    adopt(config, profile=profile, dry_run=dry_run)


if __name__ == "__main__":
    main(ls, why, diff, verify, gc, adopt)
