"""What an older version of the code has computed, taken over by this one: on evidence, stage by stage.

For each stage of a config that is missing, the store is searched for one that differs by its code alone: the same
names, the same parameters and, byte for byte, the same inputs. Its cheapest job is run anew by the workflow, at its new
address, where what it makes is valid whatever comes of it. If its files are those of the older code, the stage's others
are linked to their new addresses. So a job is evidence for the others of its stage that call the same step. Where not
even the code is another, but only the addresses of what it reads, nothing has to be run.
"""

import itertools
import json
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from amun_steps.plan.candidates import Candidate, Unit, find, is_made, path_now
from amun_steps.plan.cost import duration
from amun_steps.plan.jobs import Job, dearest_paths, read_jobs, stage_of
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.views import load_file
from amun_steps.plan.workflow import make
from amun_steps.store.addresses import fingerprint
from amun_steps.store.receipts import RECEIPT, read_receipt, sha256
from amun_steps.store.step import InputError, write_whole

LOCKS = Path(".snakemake/locks")


def adopt(config: Path, *, profile: str | None = None, dry_run: bool = False) -> None:
    """Take over what an older version of the code has computed of a config's stages.

    It prints what it would run and what that would save, by receipts, and goes on, unless `dry_run`. Snakemake runs it
    on this machine's cores, or as its `profile` says. Nothing is overwritten or deleted.

        amun store adopt config/quickstart.yaml --dry-run

    Raises InputError for a config that is wrong, while another workflow runs here, and when a job fails.
    """
    _check_alone()
    plan = load_file(config)
    jobs = [part for job in read_jobs(config) for part in _by_step(job)]
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


def _by_step(job: Job) -> list[Job]:
    """A job as the steps that it calls: where it trains reference models and lists them, these are two."""
    if not job.models:
        return [job]
    there = all(Path(model).is_file() for model in job.models)
    trains = replace(job, outputs=job.models, to_do=job.to_do and not there)
    return [trains, replace(job, rule="listing", inputs=job.models)]


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
        candidates = find(unit, digest)
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


def _estimate(found: Mapping[Unit, Candidate], jobs: Sequence[Job]) -> str:
    """What is to be run and what that saves, stage by stage and in all, and what is left to the workflow."""
    lines, run = [], []
    for unit, candidate in found.items():
        proof = candidate.proof
        what = "".join(proof.files[:1])
        if len(proof.files) > 1:
            what += f" and {len(proof.files) - 1} more"
        if not proof.files:
            what = "the same code"
        elif all(is_made(unit.stage, name) for name in proof.files):
            what = f"compare {what}, there already"
        else:
            what = f"run {what}, {duration(proof.seconds)}"
            run.append(proof.seconds)
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
        candidates = find(unit, _recorded)
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
    """Run by the workflow the jobs whose files are not there; those that ask for the same sizes in one run of it."""
    batches: list[tuple[dict[str, int], list[str]]] = []
    for unit, candidate in evidence.items():
        proof = candidate.proof
        if all(is_made(unit.stage, name) for name in proof.files):
            continue
        files = [unit.stage.file(name) for name in proof.asked]
        for sizes, targets in batches:
            if all(sizes.get(key, value) == value for key, value in proof.sizes.items()):
                sizes.update(proof.sizes)
                targets += files
                break
        else:
            batches.append((dict(proof.sizes), files))
    for sizes, targets in batches:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as more:
            json.dump({"jobs": sizes}, more)
            more.flush()
            done = make([config, more.name], targets, profile)
        if not done:
            raise InputError(
                f"{config}: a job failed, see above; what was taken over before it is whole: start this again"
            )


def _take(unit: Unit, candidates: Sequence[Candidate]) -> None:
    """Take over the first candidate that has the bytes of every file that this code has made of the unit."""
    differing: list[str] = []
    for candidate in candidates:
        made = {name: sha256(unit.stage.folder / name) for name in candidate.files if is_made(unit.stage, name)}
        other = [name for name, digest in made.items() if digest != candidate.files[name]["sha256"]]
        proven = not candidate.proof.files or (made and set(candidates[0].proof.files) <= made.keys())
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
        inputs = [source | {"path": path_now(stage, source["path"])} for source in receipt["inputs"]]
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
