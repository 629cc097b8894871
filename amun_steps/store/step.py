"""Steps: functions of files and parameters to files that appear whole or not at all, each with a receipt beside it."""

import functools
import inspect
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import cyclopts

from amun_steps.store.addresses import address_in, canonical, fingerprint, module_file
from amun_steps.store.errors import InputError
from amun_steps.store.options import with_json
from amun_steps.store.plugins import PLUGINS
from amun_steps.store.progress import LOG, duration, to_stderr
from amun_steps.store.receipts import RECEIPT, receipt_of, recorded_sha256, sha256
from amun_steps.store.seeds import seed_globally, seed_of

Output = Annotated[Path, "output"]
"""Annotation of a step's parameter that names a file which the step makes (`list[Output]` for several)."""

Partial = Annotated[Path | None, "partial"]
"""Annotation of a step's parameter, with the default None, that is given a folder for partial work beside the first
output. It outlives a step that is interrupted, so the next attempt finds it, and is gone when the step is done."""


UMASK = os.umask(0)
os.umask(UMASK)  # it can only be read by setting it

_planned_code: str | None = None
"""The fingerprint of `--planned-code`: of all code of the job's stage, also of modules that are chosen by name."""


def step(function: Callable) -> Callable:
    """Make `function` a step: its `Output` files appear whole or not at all, each with a receipt beside it.

    The function writes to temporary names in the same folders; they are synced and renamed when it returns, so a step
    that is killed, or that runs twice at once, does no harm. The receipt is put down first: an artifact has one.

    Before it is called its inputs are checked against their receipts (InputError for one whose bytes are not what its
    step wrote), and the global random generators are seeded by what it makes, so that code which draws from them, such
    as a user's data set or attack, gives the same bytes again.
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
            many = isinstance(given[name], list)
            files = [Path(p) for p in (given[name] if many else [given[name]])]
            for path in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary[path] = _scratch(path)
            bound.arguments[name] = [temporary[p] for p in files] if many else temporary[files[0]]
        first = next(iter(temporary))
        folder = _partial_of(first)
        if partial:
            bound.arguments[partial] = folder
        _check_inputs(given, outputs)
        seed_globally(seed_of(str(address_in(first)), first.name))
        start, began = time.perf_counter(), datetime.now(UTC)
        made = {"step": _name(function), "parameters": _parameters(given, outputs), "inputs": _inputs(given, outputs)}
        made["code"] = _code_of(made["step"])
        made["resumed"] = bool(partial) and folder.exists()
        LOG.info("%s makes %s", made["step"], ", ".join(map(str, temporary)))
        LOG.info("with %s", canonical(made["parameters"]))
        try:
            result = function(*bound.args, **bound.kwargs)
            seconds = time.perf_counter() - start
            for path, scratch in temporary.items():
                receipt = receipt_of(path, scratch, **made, began=began, seconds=seconds)
                write_whole(path.with_name(path.name + RECEIPT), lambda file, text=receipt: file.write_text(text))
                _publish(scratch, path)
            shutil.rmtree(folder, ignore_errors=True)
            LOG.info("done in %s", duration(seconds))
        finally:
            for scratch in temporary.values():
                scratch.unlink(missing_ok=True)
        return result

    return run


def _is_output(hint: Any) -> bool:
    return hint in (Output, list[Output])


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file appear whole or not at all: `write` is given the temporary name that it is written under."""
    scratch = _scratch(path)
    try:
        write(scratch)
        _publish(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _scratch(path: Path) -> Path:
    """A name of its own, in the same folder, for a file that is being written."""
    return path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")


def is_scratch(path: Path) -> bool:
    """Whether `path` is a file that a step was writing when it was killed, or is writing now."""
    return re.match(r"\.[0-9a-f]{8}\.", path.name) is not None


def _partial_of(path: Path) -> Path:
    """The folder of partial work of the step whose first output is `path`."""
    return path.with_name(f".{path.name}.partial")


def whole_of(folder: Path) -> Path | None:
    """The first output of the step whose partial work lies in `folder`; None for a folder of something else."""
    name = re.fullmatch(r"\.(.+)\.partial", folder.name)
    return name and folder.with_name(name[1])


def _publish(scratch: Path, path: Path) -> None:
    os.chmod(scratch, 0o666 & ~UMASK)  # safetensors makes files that only their owner can read
    with open(scratch, "rb") as file:
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _check_inputs(given: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Raise InputError for an input that its receipt says has other bytes; one without a receipt, which somebody made
    by hand, cannot be checked."""
    for path in _inputs(given, outputs):
        recorded = recorded_sha256(path)
        if recorded and path.is_file() and sha256(path) != recorded:
            raise InputError(
                f"{path}: its bytes are not those that its step wrote (SHA-256 in {path.name + RECEIPT}): it is"
                " truncated or was changed; delete it and start the same command again, and it is made again"
            )


def _inputs(given: Mapping[str, Any], outputs: Sequence[str]) -> list[Path]:
    """The files that a step was given to read."""
    return [path for name, value in given.items() if name not in outputs for path in _paths(value)]


def _name(function: Callable) -> str:
    """A step's module and function, also where the module is the one that is run."""
    spec = function.__globals__.get("__spec__")
    return f"{spec.name if spec else function.__module__}.{function.__name__}"


def _code_of(name: str) -> str | None:
    """The fingerprint of a step's code; None for a step outside of this package."""
    module = name.rpartition(".")[0]
    return _planned_code or (fingerprint([module]) if module_file(module) else None)


def _parameters(given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """What a step was given besides files."""
    return {k: v for k, v in given.items() if k not in outputs and v is not None and not _paths(v)}


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    return [p for p in value if isinstance(p, Path)] if isinstance(value, list | tuple) else []


def main(*steps: Callable) -> None:
    """The command line of a step module: its functions as commands (a single one is the default).

    Options come from the functions' signatures: lists as `--name a b c`, dataclasses and dicts, or each of a list, as
    JSON. Two more, which rules give, are for all: `--planned-code MODULES FINGERPRINT` refuses to run other code than
    the address is for, and `--plugins FOLDER` is where modules lie that the package does not have.
    """
    to_stderr()
    arguments = _check_code(sys.argv[1:])
    app = cyclopts.App(
        default_parameter=cyclopts.Parameter(consume_multiple=True, negative=()),
        help_format="plaintext",
        result_action="return_none",
    )
    for function in steps:
        command = with_json(function, leave_out=Partial)
        if len(steps) == 1:
            app.default(command)
        else:
            app.command(command, name=function.__name__)
    try:
        app(arguments)
    except InputError as error:
        raise SystemExit(f"{error}") from None


def _check_code(arguments: list[str]) -> list[str]:
    """The arguments without `--plugins FOLDER`, whose modules are found from now on, and `--planned-code MODULES
    FINGERPRINT`; exits where the modules have another one now."""
    if "--plugins" in arguments:
        at = arguments.index("--plugins")
        PLUGINS.use(Path(arguments[at + 1]))
        arguments = arguments[:at] + arguments[at + 2 :]
    if "--planned-code" not in arguments:
        return arguments
    at = arguments.index("--planned-code")
    modules, planned = arguments[at + 1 : at + 3]
    global _planned_code
    if fingerprint(modules.split(",")) != planned:
        raise SystemExit(
            f"the code of {modules} has changed since this run of the workflow was planned; its result would lie at an"
            " address that is not its own: start the workflow again"
        )
    _planned_code = planned
    return arguments[:at] + arguments[at + 3 :]
