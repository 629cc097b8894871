"""The store of results: steps that write whole files or none, a receipt beside each, and what reads the receipts.

`python -m amun_steps.store ls | why PATH | diff A B | verify | gc` answers what is there, what made it, how two
artifacts differ, whether every byte is still what was written, and what no config asks for any more.
"""

import functools
import hashlib
import inspect
import json
import os
import platform
import resource
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import cyclopts
from pydantic import TypeAdapter

from amun_steps.addresses import address_in, fingerprint, module_file, plain

RECEIPT = ".json"
STORE = Path("results/store")

Output = Annotated[Path, "output"]
"""Annotation of a step's parameter that names a file which the step makes (`list[Output]` for several)."""

Partial = Annotated[Path | None, "partial"]
"""Annotation of a step's parameter, with the default None, that is given a folder for partial work beside the first
output. It outlives a step that is interrupted, so the next attempt finds it, and is gone when the step is done."""


def step(function: Callable) -> Callable:
    """Make `function` a step: its `Output` files appear whole or not at all, each with a receipt beside it.

    The function writes to temporary names in the same folders; they are synced and renamed when it returns, so a step
    that is killed, or that runs twice at once, does no harm. The receipt is put down first: an artifact has one.
    """
    hints = get_type_hints(function, include_extras=True)
    outputs = [name for name, hint in hints.items() if _is_output(hint)]
    partial = next((name for name, hint in hints.items() if hint == Partial), None)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def run(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        temporary: dict[Path, Path] = {}
        for name in outputs:
            if given[name] is not None:
                many = isinstance(given[name], list)
                files = [Path(p) for p in (given[name] if many else [given[name]])]
                for path in files:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    temporary[path] = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
                bound.arguments[name] = [temporary[p] for p in files] if many else temporary[files[0]]
        first = next(iter(temporary))
        folder = first.with_name(f".{first.name}.partial")
        if partial:
            bound.arguments[partial] = folder
        start, began = time.perf_counter(), datetime.now(UTC)
        try:
            result = function(*bound.args, **bound.kwargs)
            seconds = time.perf_counter() - start
            for path, scratch in temporary.items():
                receipt = _receipt(function, given, outputs, path, scratch, began, seconds)
                write_whole(path.with_name(path.name + RECEIPT), lambda file, text=receipt: file.write_text(text))
                _publish(scratch, path)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            for scratch in temporary.values():
                scratch.unlink(missing_ok=True)
        return result

    return run


def _is_output(hint: Any) -> bool:
    return hint in (Output, Output | None, list[Output])


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file appear whole or not at all: `write` is given the temporary name that it is written under."""
    scratch = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        write(scratch)
        _publish(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _publish(scratch: Path, path: Path) -> None:
    with open(scratch, "rb") as file:
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _receipt(function, given, outputs, path: Path, file: Path, began: datetime, seconds: float) -> str:
    parameters = {k: v for k, v in given.items() if k not in outputs and v is not None and not _paths(v)}
    inputs = [p for k, v in given.items() if k not in outputs for p in _paths(v)]
    module = function.__globals__["__spec__"].name if function.__globals__.get("__spec__") else function.__module__
    receipt = {
        "address": address_in(path),
        "step": f"{module}.{function.__name__}",
        "parameters": parameters,
        "inputs": [{"path": p.as_posix(), "sha256": _recorded_sha256(p)} for p in inputs],
        "code": fingerprint([module]) if module_file(module) else None,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "versions": {"python": platform.python_version(), **_versions()},
        "device": _device(),
        "host": socket.gethostname(),
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return json.dumps(receipt, indent=1, default=plain, allow_nan=False) + "\n"


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    return [p for p in value if isinstance(p, Path)] if isinstance(value, list | tuple) else []


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "numpy", "h5py", "pandas", "scikit-learn", "safetensors", "snakemake"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu {platform.machine()}"


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_receipt(path: Path) -> dict[str, Any] | None:
    """The receipt of the artifact at `path`, None where there is none."""
    receipt = path.with_name(path.name + RECEIPT)
    return json.loads(receipt.read_text(encoding="utf-8")) if receipt.is_file() else None


def _recorded_sha256(path: Path) -> str | None:
    receipt = read_receipt(path)
    return receipt and receipt["sha256"]


def main(*steps: Callable) -> None:
    """The command line of a step module: its functions as commands (a single one is the default).

    Options come from the functions' signatures: lists as `--name a b c`, dataclasses and dicts as JSON. One more, which
    a rule gives, is for all: `--planned-code MODULES FINGERPRINT` refuses to run other code than the address is for.
    """
    arguments = _check_code(sys.argv[1:])
    app = cyclopts.App(
        default_parameter=cyclopts.Parameter(consume_multiple=True, negative=()), result_action="return_none"
    )
    for function in steps:
        command = _with_json(function)
        if len(steps) == 1:
            app.default(command)
        else:
            app.command(command, name=function.__name__)
    app(arguments)


def _check_code(arguments: list[str]) -> list[str]:
    """The arguments without `--planned-code MODULES FINGERPRINT`; exits where the modules have another one now."""
    if "--planned-code" not in arguments:
        return arguments
    at = arguments.index("--planned-code")
    modules, planned = arguments[at + 1 : at + 3]
    if fingerprint(modules.split(",")) != planned:
        raise SystemExit(
            f"the code of {modules} has changed since this run of the workflow was planned; its result would lie at an"
            " address that is not its own: start the workflow again"
        )
    return arguments[:at] + arguments[at + 3 :]


def _with_json(function: Callable) -> Callable:
    """`function` with annotations that let the command line parse its dataclasses and dicts from JSON."""

    def parser(hint):
        return cyclopts.Parameter(
            converter=lambda _, tokens: TypeAdapter(hint).validate_json(tokens[0].value), n_tokens=1, accepts_keys=False
        )

    @functools.wraps(function)
    def command(*args, **kwargs):
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    json_hints = {n: h for n, h in hints.items() if is_dataclass(h) or getattr(h, "__origin__", None) is dict}
    parameters = [
        p.replace(annotation=Annotated[json_hints[n], parser(json_hints[n])] if n in json_hints else hints[n])
        for n, p in signature.parameters.items()
        if hints[n] != Partial
    ]
    command.__signature__ = signature.replace(parameters=parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


# ---- the command line: what lies in the store -----------------------------------------------------------------------


def artifacts(store: Path) -> list[Path]:
    """All artifacts in a store, in the order of their paths; not their receipts, nor what a killed step left."""
    files = (p for p in store.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in files if not _is_receipt(p))


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


def _tell(path: Path, depth: int, told: set[Path]) -> None:
    receipt, indent = read_receipt(path), "  " * depth
    if receipt is None:
        raise SystemExit(f"{path}: found no receipt {path.name + RECEIPT} beside it: not an artifact of this store")
    print(f"{indent}{path}")
    if path in told:
        print(f"{indent}  (see above)")
        return
    told.add(path)
    print(f"{indent}  {receipt['step']}, {receipt['seconds']} s on {receipt['device']}, {receipt['began']}")
    for name, value in receipt["parameters"].items():
        print(f"{indent}  {name}: {json.dumps(value)}")
    for source in receipt["inputs"]:
        _tell(Path(source["path"]), depth + 1, told)


def diff(a: Path, b: Path) -> None:
    """Say in what two artifacts' receipts differ: parameters, inputs, code, versions, device and bytes."""
    left, right = (_flat(read_receipt(path) or {}) for path in (a, b))
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            print(f"{name}:\n  - {left.get(name)}\n  + {right.get(name)}")


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one dict with dotted names."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {name: value}
    return {n: v for key, part in items for n, v in _flat(part, f"{name}.{key}".lstrip(".")).items()}


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
    """List what no stage of `configs` names, with its size; with --delete, delete it."""
    import yaml

    from amun_steps.experiment import load

    if not configs:
        raise SystemExit("gc: name the configs whose results are to stay, such as config/quickstart.yaml")
    plans = [load(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in configs]
    unwanted = list(_unwanted(store, {slug for plan in plans for slug in plan.stages}))
    sizes = [sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) for folder in unwanted]
    for folder, size in zip(unwanted, sizes, strict=True):
        print(f"{size:>12,} B  {folder}")
        if delete:
            shutil.rmtree(folder)
    print(
        f"{sum(sizes):>12,} B  in all{', deleted' if delete else '; nothing was deleted: that is what --delete is for'}"
    )


def _unwanted(folder: Path, slugs: set[str]) -> Iterator[Path]:
    """The outermost folders inside `folder` that are not named by one of `slugs`."""
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        if inner.name in slugs:
            yield from _unwanted(inner, slugs)
        else:
            yield inner


if __name__ == "__main__":
    main(ls, why, diff, verify, gc)
