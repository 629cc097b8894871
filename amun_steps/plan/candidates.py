"""What an older version of the code has computed of a stage: found in the store, and the job that can prove it."""

import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from amun_steps.plan.jobs import Job
from amun_steps.plan.stage import Stage
from amun_steps.steps.choose import choices
from amun_steps.store.addresses import STORE, canonical, fingerprint, module_file, without_addresses
from amun_steps.store.receipts import read_receipt

Digest = Callable[[str], str | None]
"""The SHA-256 of the file at a path of the store, None where it is not known."""


@dataclass(frozen=True, eq=False)
class Unit:
    """The jobs of one stage that call one step: what one of them proves, it proves for the others.

    depth: the number of jobs in the longest chain up to one of these, so that what they read has less of it.
    """

    stage: Stage
    jobs: Sequence[Job]
    depth: int

    @property
    def name(self) -> str:
        """The stage's folder without addresses, and what its jobs do."""
        return f"{self.jobs[0].stage} of {without_addresses(f'{self.stage.folder}/').removeprefix(f'{STORE}/')}"


@dataclass(frozen=True)
class Proof:
    """A job, or a part of it that is a job of its own, to be run anew to the same bytes.

    files: the names of what it makes. asked: what the workflow is asked for, by name. sizes: the keys of the config's
    `jobs` that make it the same job. seconds: what it took.
    """

    files: Sequence[str]
    asked: Sequence[str]
    sizes: Mapping[str, int]
    seconds: float


NOTHING = Proof((), (), {}, 0.0)
"""What the code that is the present one has to prove."""


@dataclass(frozen=True)
class Candidate:
    """What an older version of the code has computed of a unit.

    files: the receipts of its files, by name. proof: its cheapest job, or NOTHING. taken: the names of the files to be
    taken over, if that comes out the same. jobs, saved: how many jobs made them, and their seconds.
    """

    folder: Path
    files: Mapping[str, Mapping[str, Any]]
    proof: Proof
    taken: Sequence[str]
    jobs: int
    saved: float


def find(unit: Unit, digest: Digest) -> list[Candidate]:
    """What older versions of the code have computed of a unit; first what needs no evidence, then the newest.

    It lies in folders of the same names and has the same parameters, and what it was made from has the bytes that
    `digest` says.
    """
    stage, names = unit.stage, []
    outer: Stage | None = stage
    while outer:
        names.append(f"{outer.name}-{'[0-9a-f]' * 12}")
        outer = outer.inside
    kinds = {_kind(path) for job in unit.jobs for path in job.outputs}
    found = []
    for folder in STORE.glob("/".join(reversed(names))):
        if folder == stage.folder:
            continue
        paths = sorted(path for path in folder.iterdir() if path.is_file() and _kind(path) in kinds)
        receipts = {path.name: read_receipt(path) for path in paths}
        files = {name: receipt for name, receipt in receipts.items() if receipt and _fits(unit, receipt, digest)}
        if files and (candidate := _candidate(stage, folder, files)):
            found.append(candidate)

    def rank(candidate: Candidate) -> tuple[bool, str]:
        return not candidate.proof.files, max(receipt["began"] for receipt in candidate.files.values())

    return sorted(found, key=rank, reverse=True)


def _kind(path: Path | str) -> str:
    """The name of a file without its numbers: the same for all files that jobs of one unit make."""
    return re.sub(r"\d+", "#", Path(path).name)


def _fits(unit: Unit, receipt: Mapping[str, Any], digest: Digest) -> bool:
    """Whether a file of a candidate was made with the unit's parameters from the bytes that the unit reads."""
    stage, step = unit.stage, _step(receipt["step"])
    if step is None or not _same_parameters(stage, receipt["parameters"], step):
        return False
    read = {path_now(stage, source["path"]): source["sha256"] for source in receipt["inputs"]}
    if None in read or any(known is None or digest(path) != known for path, known in read.items()):
        return False
    # but for what a stage reads of itself: into how many parts a grid is cut is no part of its address
    wanted, had = ({p for p in paths if Path(p).parent != stage.folder} for paths in (unit.jobs[0].inputs, read))
    return wanted == had


def _step(name: str) -> Callable | None:
    """The step that a receipt names, None where the code has no such one any more."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function, None) if module_file(module) else None


def path_now(stage: Stage, path: str) -> str | None:
    """Where a file that a candidate of `stage` was made from lies for `stage`; None for one that it does not read."""
    file = Path(path)
    for source in (stage, *stage.builds_on.values()):
        if without_addresses(source.file(file.name)) == without_addresses(path):
            return source.file(file.name)
    return None


def _same_parameters(stage: Stage, recorded: Mapping[str, Any], step: Callable) -> bool:
    """Whether a receipt's parameters are those of a stage, up to those that are a job's own.

    A job's own are required (the numbers of its models) or have a default (how many are trained side by side); a
    parameter that is recorded and has the default None was given by the stage.
    """
    hints, signature = get_type_hints(step), inspect.signature(step).parameters
    given = {name: value for name, value in stage.parameters.items() if name in signature}
    for name, value in given.items():
        if name not in recorded or not _same(TypeAdapter(hints[name]).validate_json(canonical(value)), recorded[name]):
            return False
    return all(name in signature and signature[name].default is not None for name in recorded.keys() - given.keys())


def _same(value: Any, recorded: Any) -> bool:
    """Whether a parameter is what a receipt recorded; one that the older code did not have must have its default."""
    if not is_dataclass(value):
        return canonical(value) == canonical(recorded)
    if not isinstance(recorded, dict) or recorded.keys() - {field.name for field in fields(value)}:
        return False
    for field in fields(value):
        mine = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if not (_same(mine, recorded[field.name]) if field.name in recorded else mine == default):
            return False
    return True


def _candidate(stage: Stage, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Candidate | None:
    """The files of a candidate with its cheapest job, which is one whose files are there for `stage`, if any is.

    None where the workflow cannot be told to make such a job.
    """
    jobs: dict[str, list[str]] = defaultdict(list)
    for name, receipt in files.items():
        jobs[canonical([receipt["parameters"], receipt["inputs"], receipt["began"]])].append(name)
    code = fingerprint(stage.code)
    if all(receipt["code"] == code for receipt in files.values()):
        proofs = [NOTHING]
    else:
        proofs = [proof for names in jobs.values() for proof in _proofs(folder, names, files[names[0]])]
    if not proofs:
        return None
    proof = min(proofs, key=lambda proof: (not all(is_made(stage, name) for name in proof.files), proof.seconds))
    taken = [name for name in files if name not in proof.files and not (stage.folder / name).exists()]
    shares = [len(set(names) & set(taken)) / len(names) * files[names[0]]["seconds"] for names in jobs.values()]
    count = sum(not set(names).isdisjoint(taken) for names in jobs.values())
    return Candidate(folder, files, proof, taken, count, sum(shares))


def is_made(stage: Stage, name: str) -> bool:
    """Whether a file of a stage is there and was computed there, not taken over."""
    path = Path(stage.file(name))
    return path.is_file() and "adopted" not in (read_receipt(path) or {"adopted": True})


def _proofs(folder: Path, names: Sequence[str], receipt: Mapping[str, Any]) -> Iterator[Proof]:
    """What of a job can be run anew by itself.

    How many models are trained side by side changes how sums are rounded, so it stays as it was.
    """
    parameters, seconds = receipt["parameters"], receipt["seconds"]
    sizes = {"stack": parameters["stack"]} if "stack" in parameters else {}
    parts = [source for source in receipt["inputs"] if Path(source["path"]).parent == folder]
    if "members" in parameters:  # every model of a job is a file of its own, numbered as the model
        members = parameters["members"]
        for start in range(0, len(members), parameters["stack"]):
            beside = members[start : start + parameters["stack"]]
            made = [name for name in names if int(re.search(r"\d+", name)[0]) in beside]
            if len(made) == len(beside):
                listing = f"models{beside[0]}to{beside[-1]}.sha256"
                yield Proof(made, [listing], sizes, seconds * len(beside) / len(members))
    elif parts and "grid" in parameters:
        trials = len(choices(parameters["grid"], parameters.get("limit"))) * len(parameters["on"])
        yield Proof(names, names, sizes | {"trials_per_job": -(-trials // len(parts))}, seconds)
    else:
        yield Proof(names, names, sizes, seconds)
