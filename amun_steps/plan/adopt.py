"""What an older version of the code has computed, taken over by this one: on evidence, stage by stage.

For each stage of a config that is missing, the store is searched for one that differs by its code alone: the same
names, the same parameters and, byte for byte, the same inputs. Its cheapest job is run anew by the workflow, at its new
address, where what it makes is valid whatever comes of it. If its files are those of the older code, the stage's others
are linked to their new addresses. So a job is evidence for the others of its stage that call the same step. Where not
even the code is another, but only the addresses of what it reads, nothing has to be run.
"""

import importlib
import inspect
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from amun_steps.plan.cost import Job, dearest_paths, duration, read_jobs, stage_of
from amun_steps.plan.experiment import Plan, Stage
from amun_steps.plan.views import load_file
from amun_steps.plan.workflow import snakemake
from amun_steps.steps.choose import choices
from amun_steps.store.addresses import STORE, canonical, fingerprint, module_file, without_addresses
from amun_steps.store.receipts import RECEIPT, read_receipt, sha256
from amun_steps.store.step import InputError, write_whole

LOCKS = Path(".snakemake/locks")

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
class Candidate:
    """What an older version of the code has computed of a unit.

    files: the receipts of its files, by name. evidence: the names of those of its cheapest job; none where its code is
    the present one. sizes: the keys of the config's `jobs` that cut this job as it was. seconds: what it took. taken:
    the names of files to be taken over, if it comes out the same. jobs, saved: how many jobs made them, and their
    seconds.
    """

    folder: Path
    files: Mapping[str, Mapping[str, Any]]
    evidence: Sequence[str]
    sizes: Mapping[str, int]
    seconds: float
    taken: Sequence[str]
    jobs: int
    saved: float


def adopt(config: Path, *, profile: str | None = None, dry_run: bool = False) -> None:
    """Take over what an older version of the code has computed of a config's stages.

    It prints what it would run and what that would save, by receipts, and goes on, unless `dry_run`. Snakemake runs it
    on this machine's cores, or as its `profile` says. Nothing is overwritten or deleted.

        amun store adopt config/quickstart.yaml --dry-run

    Raises InputError for a config that is wrong, while another workflow runs here, and when a job fails.
    """
    _check_alone()
    plan = load_file(config)
    jobs = read_jobs(config)
    units = list(_units(plan, jobs))
    found = _useful(_expected(units))
    print(_estimate(found, jobs))
    if not dry_run:
        for _, wave in itertools.groupby(found, key=lambda unit: unit.depth):
            _take_wave(config, profile, list(wave))


def _check_alone() -> None:
    """Raise InputError while a workflow holds Snakemake's lock."""
    if any(LOCKS.glob("*.lock")):
        raise InputError(
            f"{LOCKS}: a workflow runs here, or was killed; wait until it has ended, or release its lock with"
            " `snakemake --unlock`"
        )


def _units(plan: Plan, jobs: Sequence[Job]) -> Iterator[Unit]:
    """The units that have something to do, in the order in which they build on each other."""
    groups: dict[tuple[Stage, str], list[Job]] = defaultdict(list)
    for job in jobs:
        stage = stage_of(job, plan)
        if stage is not None:
            groups[stage, job.stage].append(job)
    depths = {job: len(chain) for job, chain in dearest_paths(jobs, lambda _: 1).items()}
    units = [Unit(stage, made, max(depths[job] for job in made)) for (stage, _), made in groups.items()]
    for unit in sorted(units, key=lambda unit: unit.depth):
        if any(job.to_do for job in unit.jobs):
            yield unit


def _recorded(path: str) -> str | None:
    receipt = read_receipt(Path(path)) if Path(path).is_file() else None
    return receipt and receipt["sha256"]


def _expected(units: Iterable[Unit]) -> dict[Unit, Candidate]:
    """The newest candidate of every unit that has one, if all that it reads comes out as the older code made it."""
    found: dict[Unit, Candidate] = {}
    expected: dict[str, str] = {}

    def digest(path: str) -> str | None:
        return _recorded(path) or expected.get(path)

    for unit in units:
        candidates = _candidates(unit, digest)
        if candidates:
            found[unit] = candidates[0]
            expected.update({unit.stage.file(name): r["sha256"] for name, r in candidates[0].files.items()})
    return found


def _useful(found: Mapping[Unit, Candidate]) -> dict[Unit, Candidate]:
    """Those of stages in which something is saved, and of all that these build on.

    A stage that one job makes is run anew in any case: what nothing else wants it for is left to the workflow.
    """
    wanted: set[Stage] = set()
    todo = [unit.stage for unit, candidate in found.items() if candidate.taken]
    while todo:
        stage = todo.pop()
        if stage not in wanted:
            wanted.add(stage)
            todo.extend(stage.builds_on.values())
    return {unit: candidate for unit, candidate in found.items() if unit.stage in wanted}


def _candidates(unit: Unit, digest: Digest) -> list[Candidate]:
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
        return not candidate.evidence, max(receipt["began"] for receipt in candidate.files.values())

    return sorted(found, key=rank, reverse=True)


def _kind(path: Path | str) -> str:
    """The name of a file without its numbers: the same for all files that jobs of one unit make."""
    return re.sub(r"\d+", "#", Path(path).name)


def _fits(unit: Unit, receipt: Mapping[str, Any], digest: Digest) -> bool:
    """Whether a file of a candidate was made with the unit's parameters from the bytes that the unit reads."""
    stage, step = unit.stage, _step(receipt["step"])
    if step is None or not _same_parameters(stage, receipt["parameters"], step):
        return False
    read = {_now(stage, source["path"]): source["sha256"] for source in receipt["inputs"]}
    if None in read or any(known is None or digest(path) != known for path, known in read.items()):
        return False
    # but for what a stage reads of itself: into how many parts a grid is cut is no part of its address
    wanted, had = ({p for p in paths if Path(p).parent != stage.folder} for paths in (unit.jobs[0].inputs, read))
    return wanted == had


def _step(name: str) -> Callable | None:
    """The step that a receipt names, None where the code has no such one any more."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function, None) if module_file(module) else None


def _now(stage: Stage, path: str) -> str | None:
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
        jobs[canonical([receipt["parameters"], receipt["began"]])].append(name)
    code = fingerprint(stage.code)
    if all(receipt["code"] == code for receipt in files.values()):
        ways = [((), {}, 0.0)]
    else:
        ways = [way for names in jobs.values() for way in _ways(folder, names, files[names[0]])]
    if not ways:
        return None

    def cost(way: tuple[Sequence[str], Mapping[str, int], float]) -> tuple[bool, float]:
        return not all(_is_made(stage, name) for name in way[0]), way[2]

    evidence, sizes, seconds = min(ways, key=cost)
    taken = [name for name in files if name not in evidence and not (stage.folder / name).exists()]
    shares = [len(set(names) & set(taken)) / len(names) * files[names[0]]["seconds"] for names in jobs.values()]
    count = sum(not set(names).isdisjoint(taken) for names in jobs.values())
    return Candidate(folder, files, evidence, sizes, seconds, taken, count, sum(shares))


def _is_made(stage: Stage, name: str) -> bool:
    """Whether a file of a stage is there and was computed there, not taken over."""
    path = Path(stage.file(name))
    return path.is_file() and "adopted" not in (read_receipt(path) or {"adopted": True})


def _ways(
    folder: Path, names: Sequence[str], receipt: Mapping[str, Any]
) -> Iterator[tuple[Sequence[str], Mapping[str, int], float]]:
    """How a job, or a part of it that is a job of its own, is run anew to the same bytes: files, job sizes, seconds.

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
            if len(made) == len(beside) and beside[0] % len(beside) == 0:  # the workflow cuts jobs at such numbers
                yield made, sizes | {"references_per_job": len(beside)}, seconds * len(beside) / len(members)
    elif parts:
        trials = len(choices(parameters["grid"])) * len(parameters["on"])
        yield names, sizes | {"trials_per_job": -(-trials // len(parts))}, seconds
    else:
        yield names, sizes, seconds


def _estimate(found: Mapping[Unit, Candidate], jobs: Sequence[Job]) -> str:
    """What is to be run and what that saves, stage by stage and in all, and what is left to the workflow."""
    lines, run = [], []
    for unit, candidate in found.items():
        what = "".join(candidate.evidence[:1])
        if len(candidate.evidence) > 1:
            what += f" and {len(candidate.evidence) - 1} more"
        if not candidate.evidence:
            what = "the same code"
        elif all(_is_made(unit.stage, name) for name in candidate.evidence):
            what = f"compare {what}, there already"
        else:
            what = f"run {what}, {duration(candidate.seconds)}"
            run.append(candidate.seconds)
        if candidate.taken:
            saved = f"take over {len(candidate.taken)} files of {candidate.jobs} jobs, {duration(candidate.saved)}"
        else:
            saved = "nothing to take over here, but others build on it"
        lines.append(f"{unit.name}: {what}; {saved}")
    considered = {job for unit in found for job in unit.jobs}
    left = Counter(job.stage for job in jobs if job.to_do and job not in considered)
    count, seconds = (sum(getattr(c, key) for c in found.values()) for key in ("jobs", "saved"))
    if not lines:
        lines.append("Of nothing that is missing the store has more than one job that differs by its code alone")
    lines += [
        f"In all, by receipts: run {len(run)} jobs, {duration(sum(run))};"
        f" if they come out the same, save {count} jobs, {duration(seconds)}",
        f"Left to the workflow: {', '.join(f'{n} {stage}' for stage, n in left.items()) or 'nothing'}",
    ]
    return "\n".join(lines)


def _take_wave(config: Path, profile: str | None, units: Sequence[Unit]) -> None:
    """Run the evidence for units that do not read from each other, and take over what it proves."""
    found: dict[Unit, list[Candidate]] = {}
    for unit in units:
        candidates = _candidates(unit, _recorded)
        if not candidates:
            print(f"{unit.name}: left to the workflow, since what it builds on did not come out as it was")
        whole = [candidate for candidate in candidates if _is_whole(unit, candidate)]
        if whole:
            found[unit] = whole
    sys.stdout.flush()  # before what Snakemake prints
    _check_alone()
    _run(config, profile, {unit: candidates[0] for unit, candidates in found.items()})
    _check_alone()
    for unit, candidates in found.items():
        _take(unit, candidates)


def _is_whole(unit: Unit, candidate: Candidate) -> bool:
    """Whether every file of a candidate has the bytes that its receipt says; the first that has not is named."""
    for name, receipt in candidate.files.items():
        path = candidate.folder / name
        if sha256(path) != receipt["sha256"]:
            print(
                f"{unit.name}: nothing taken over from {candidate.folder}: the bytes of {path} are not those that its"
                " step wrote; delete it, and start this again for the others"
            )
            return False
    return True


def _run(config: Path, profile: str | None, evidence: Mapping[Unit, Candidate]) -> None:
    """Run by the workflow the jobs whose files are not there; those that are cut in the same way in one run of it."""
    batches: list[tuple[dict[str, int], list[str]]] = []
    for unit, candidate in evidence.items():
        files = [unit.stage.file(name) for name in candidate.evidence if not _is_made(unit.stage, name)]
        if not files:
            continue
        for sizes, targets in batches:
            if all(sizes.get(key, value) == value for key, value in candidate.sizes.items()):
                sizes.update(candidate.sizes)
                targets += files
                break
        else:
            batches.append((dict(candidate.sizes), files))
    for sizes, targets in batches:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as more:
            json.dump({"jobs": sizes}, more)
            more.flush()
            where = ["--profile", profile] if profile else ["--cores", "all"]
            command = [*snakemake(), *where, "--configfile", str(config), more.name]
            done = subprocess.run([*command, "--quiet", "rules", "reason", "host", "--", *targets], check=False)
        if done.returncode:
            raise InputError(
                f"{config}: a job failed, see above; what was taken over before it is whole: start this again"
            )


def _take(unit: Unit, candidates: Sequence[Candidate]) -> None:
    """Take over the first candidate that has the bytes of every file that this code has made of the unit."""
    differing: list[str] = []
    for candidate in candidates:
        made = {name: sha256(unit.stage.folder / name) for name in candidate.files if _is_made(unit.stage, name)}
        other = [name for name, digest in made.items() if digest != candidate.files[name]["sha256"]]
        proven = not candidate.evidence or (made and set(candidates[0].evidence) <= made.keys())
        if proven and not other:
            _link(unit, candidate, made)
            return
        differing += [_difference(unit.stage, candidate, name) for name in other[:1]]
    print(f"{unit.name}: nothing taken over, nor of what builds on it: {' and '.join(differing)}")


def _difference(stage: Stage, candidate: Candidate, name: str) -> str:
    """That a file came out with other bytes, and what else than the code could be why."""
    now, before = read_receipt(stage.folder / name), candidate.files[name]
    was, is_now = (
        {"device": receipt["device"], "stack": receipt["parameters"].get("stack")} | receipt["versions"]
        for receipt in (before, now)
    )
    why = [f"; {key} was {was.get(key)}, is {value}" for key, value in is_now.items() if was.get(key) != value]
    return f"{stage.file(name)} has other bytes than {candidate.folder / name}{''.join(why)}"


def _link(unit: Unit, candidate: Candidate, made: Mapping[str, str]) -> None:
    """Put the files of a candidate that are not there at their new addresses, each with a receipt that says why."""
    stage = unit.stage
    evidence = {"files": [{"path": stage.file(name), "sha256": digest} for name, digest in made.items()]}
    for name in list(made)[:1]:
        job = read_receipt(stage.folder / name)
        evidence |= {key: job[key] for key in ("step", "parameters", "versions", "device", "host", "began", "seconds")}
    why = f"{', '.join(made)} came out the same" if made else "the code is the same"
    stage.folder.mkdir(parents=True, exist_ok=True)
    taken = 0
    for name, receipt in candidate.files.items():
        old, new = candidate.folder / name, stage.folder / name
        if new.exists():
            continue
        adopted = {"from": old.as_posix(), "code": receipt["code"], "evidence": evidence}
        if "adopted" in receipt:  # by the older code, from one that is older still
            adopted["before"] = receipt["adopted"]
        inputs = [source | {"path": _now(stage, source["path"])} for source in receipt["inputs"]]
        here = {"address": stage.address, "inputs": inputs, "code": fingerprint(stage.code), "adopted": adopted}
        text = json.dumps(receipt | here, indent=1, allow_nan=False) + "\n"
        write_whole(new.with_name(new.name + RECEIPT), lambda file, text=text: file.write_text(text))
        try:
            os.link(old, new)
        except FileExistsError:  # made in this moment, by somebody else
            continue
        except OSError:  # another file system, or one without links
            write_whole(new, lambda file, old=old: shutil.copyfile(old, file))
        taken += 1
    print(f"{unit.name}: {why}; {taken} files taken over from {candidate.folder}")
