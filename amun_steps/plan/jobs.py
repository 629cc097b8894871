"""The jobs of a config, as Snakemake plans them: by dry runs of the workflow itself."""

import functools
import heapq
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.workflow import snakemake
from amun_steps.store.addresses import STORE, without_addresses
from amun_steps.store.progress import LOG
from amun_steps.store.step import InputError


@dataclass(frozen=True, eq=False)
class Job:
    """A job of the workflow, as its dry run says it; `to_do` is False where its results are there."""

    rule: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    wildcards: Mapping[str, str]
    resources: Mapping[str, str]
    to_do: bool

    @property
    def stage(self) -> str:
        """Its rule; but all rules for what people read are one stage."""
        return self.rule if self.outputs[0].startswith(f"{STORE}/") else "views"

    @property
    def name(self) -> str:
        """Its first output, without the addresses."""
        return without_addresses(self.outputs[0].removeprefix(f"{STORE}/"))

    @property
    def dataset(self) -> str:
        """The data set that it is for; empty for what people read."""
        return "" if self.stage == "views" else self.name.split("/")[0]

    @property
    def models(self) -> list[str]:
        """The reference models that it trains and lists, which Snakemake knows nothing of; none for any other job."""
        if self.stage != "references":
            return []
        from amun_steps.steps.references import models_of  # and torch with it

        first, last = int(self.wildcards["first"]), int(self.wildcards["last"])
        return [path.as_posix() for path in models_of(Path(self.outputs[0]).parent, first, last).values()]

    @property
    def gpus(self) -> int:
        return int(self.resources.get("gpu", 0))


def read_jobs(config: Path, targets: Sequence[str] = ()) -> list[Job]:
    """The jobs of a config, all or those that make `targets`, as Snakemake plans them here.

    Raises InputError, with what it says, when it cannot.
    """
    LOG.info("asking Snakemake which jobs are to be run")
    to_do = {fields["output"] for _, fields in _dry_run(config, "--", *targets)}
    jobs = []
    for rule, fields in _dry_run(config, "--forceall", "--", *targets):
        inputs, outputs = (fields[key].split(", ") if key in fields else [] for key in ("input", "output"))
        wildcards, resources = (
            dict(re.findall(r"(\w+)=([^,]*)", fields.get(k, ""))) for k in ("wildcards", "resources")
        )
        jobs.append(Job(rule, inputs, outputs, wildcards, resources, fields["output"] in to_do))
    return jobs


def stage_of(job: Job, plan: Plan) -> Stage | None:
    """The stage that a job makes a part of; None for what people read."""
    return plan.stages.get(Path(job.outputs[0]).parent.name)


def _dry_run(config: Path, *options: str) -> list[tuple[str, dict[str, str]]]:
    """The rule of every job, and what the dry run says of it; not the target `all`, which makes nothing."""
    command = [*snakemake(), "--dry-run", "--nolock", "--configfile", str(config), *options]
    here = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}  # which may be a quiet one
    done = subprocess.run(command, env=here, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"{config}: Snakemake cannot plan it:\n{(done.stdout + done.stderr)[-2000:]}")
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", done.stdout, re.MULTILINE)
    found = [(rule, dict(re.findall(r"^ {4}(\w+): (.*)$", text, re.MULTILINE))) for rule, text in blocks]
    jobs = [(rule, fields) for rule, fields in found if "output" in fields]
    if "--forceall" in options and not jobs:
        raise InputError(f"{config}: Snakemake's dry run names no job:\n{done.stdout[-2000:]}")
    return jobs


def dearest_paths(jobs: Sequence[Job], seconds: Callable[[Job], float]) -> dict[Job, list[Job]]:
    """For each job, the chain of jobs that takes longest until it is done: what must run one after the other."""
    makers = {path: job for job in jobs for path in job.outputs}

    @functools.cache
    def path(job: Job) -> list[Job]:
        before = {makers[name] for name in job.inputs if name in makers}
        return [*max(map(path, before), key=lambda chain: sum(map(seconds, chain)), default=[]), job]

    return {job: path(job) for job in jobs}


def makespan(jobs: Sequence[Job], seconds: Callable[[Job], float], gpus: int) -> float:
    """The seconds until all jobs are done on so many GPUs and endless CPUs.

    Of the jobs that can start, the one with the longest chain behind it goes first (list scheduling, Graham 1969). One
    that asks for more GPUs than there are takes all.
    """
    makers = {path: job for job in jobs for path in job.outputs}
    before = {job: {makers[name] for name in job.inputs if name in makers} for job in jobs}
    after: dict[Job, list[Job]] = defaultdict(list)
    for job, makes in before.items():
        for earlier in makes:
            after[earlier].append(job)

    @functools.cache
    def behind(job: Job) -> float:
        return seconds(job) + max(map(behind, after[job]), default=0.0)

    number = {job: k for k, job in enumerate(jobs)}  # of equal ones the first
    running: list[tuple[float, int, int]] = []
    queue = [(-behind(job), number[job]) for job in jobs if not before[job]]
    now, free = 0.0, gpus
    while queue or running:
        waiting = []
        for entry in sorted(queue):
            taken = min(jobs[entry[1]].gpus, gpus)
            if taken <= free:
                free -= taken
                heapq.heappush(running, (now + seconds(jobs[entry[1]]), entry[1], taken))
            else:
                waiting.append(entry)
        now, done, given_back = heapq.heappop(running)
        free += given_back
        queue = waiting
        for later in after[jobs[done]]:
            before[later].discard(jobs[done])
            if not before[later]:
                queue.append((-behind(later), number[later]))
    return now
