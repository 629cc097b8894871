"""The plan before the spend: how many jobs a config makes, how long they take and what they write.

`amun plan CONFIG` asks the workflow itself for its jobs, by dry runs, and counts the images that each passes over. What
they cost is in the receipts of finished jobs of the same stage that did the same work; where there is none, the same
code is run for a moment with the same network, on this machine's device, or, for a GPU that is not here, its operations
and bytes are counted (`amun_steps.plan.gpus`).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from amun_steps.plan.calibration import measure
from amun_steps.plan.gpus import COUNTED, GPU, SHARE, bytes_moved, known_gpu, seconds_at_most
from amun_steps.plan.jobs import Job, dearest_paths, makespan, read_jobs, stage_of
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.plan.plan import Plan
from amun_steps.plan.views import load_file
from amun_steps.plan.work import Work, sizes_of, work_of
from amun_steps.store.receipts import device_name, read_receipt


@dataclass(frozen=True)
class Cost:
    """What a job costs: seconds (None where nobody knows), bytes that it writes, what says so, on which device, and the
    bytes that it moves to and from the memory of a GPU that is not here."""

    seconds: float | None
    bytes: int
    source: str
    moved: float = 0.0


def costs_of(jobs: Sequence[Job], plan: Plan, gpu: GPU | None = None) -> dict[Job, Cost]:
    """The cost of each job: by its own receipt, the mean of those of jobs with equal work, or calibration; of those
    that ask for a GPU, on `gpu`, where that is not here.

    Of a job that is to train reference models, those count that are not there; each has a receipt of its own.
    """
    sizes = {stage: sizes_of(stage) for stage in plan.stages.values() if stage.kind == "dataset"}
    works, known = {}, defaultdict(list)
    spent: dict[Sequence[str], Cost] = {}
    for job in jobs:
        stage = stage_of(job, plan)
        works[job] = stage and work_of(job, stage, sizes[stage.builds_on.get("dataset", stage)])
        for files in _pieces(job):
            if cost := _spent(files):
                spent[files] = cost
                known[job.stage, works[job]].append(cost)
    share, costs = gpu and _reached(gpu, known), {}
    for job in jobs:
        left = [files for files in _pieces(job) if not (job.models and job.to_do and Path(files[0]).is_file())]
        equal, work = known[job.stage, works[job]], works[job]
        if gpu and job.gpus and job.to_do and work and work.counts:
            equal = [cost for cost in equal if _is_on(gpu, cost)]
            estimate = _sum([_estimate(job, work, equal)]) if equal else _counted(work, gpu, share)
        else:
            estimate = None
        costs[job] = _sum([spent.get(files) or estimate or _estimate(job, work, equal) for files in left])
    return costs


def _reached(gpu: GPU, known: Mapping[tuple[str, Work | None], Sequence[Cost]]) -> float:
    """The share of what a GPU can do that the receipts of jobs on it have reached; SHARE where there are none.

    Only work that is all on the GPU tells of it.
    """
    least, seconds = 0.0, 0.0
    for (_, work), costs in known.items():
        there = [cost.seconds for cost in costs if _is_on(gpu, cost)]
        if there and work and work.counts and all(what in COUNTED for what, _ in work.counts):
            least += len(there) * sum(n * seconds_at_most(gpu, what, work.context) for what, n in work.counts)
            seconds += sum(there)
    return least / seconds if seconds else SHARE


def _is_on(gpu: GPU, cost: Cost) -> bool:
    """Whether a receipt's cost is of this GPU: an A10 is no A100, an H200 no GH200."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(gpu.device)}(?![A-Za-z0-9])", cost.source) is not None


def _counted(work: Work, gpu: GPU, share: float) -> Cost:
    """What work costs on a GPU that reaches this share of what it can do; scores are computed on the CPU beside it."""
    seconds = 0.0
    for what, count in work.counts:
        least = seconds_at_most(gpu, what, work.context)
        seconds += count * (measure(what, work.context) if least is None else least / share)
    moved = sum(count * bytes_moved(what, work.context) for what, count in work.counts)
    return Cost(seconds, work.bytes, f"counted, {gpu.device} at {share:.0%} of what it can do", moved)


def _pieces(job: Job) -> list[tuple[str, ...]]:
    """The files of each piece of a job that has a price of its own: a reference model, or else the whole job."""
    return [(model,) for model in job.models] or [tuple(job.outputs)]


def _spent(files: Sequence[str]) -> Cost | None:
    """What the files of a piece cost, by their receipts; None where these are not there. Also where the files were
    deleted: the address says that the work is the same."""
    receipts = [read_receipt(Path(path)) for path in files]
    if not receipts[0]:
        return None
    beside = len(receipts[0]["parameters"].get("members", [0]))  # the models that were trained in these seconds
    size = sum(receipt["bytes"] for receipt in receipts if receipt)
    return Cost(receipts[0]["seconds"] / beside, size, f"receipts, {receipts[0]['device']}")


def _estimate(job: Job, work: Work | None, equal: Sequence[Cost]) -> Cost:
    """What a piece of a job will cost, by what pieces with equal work did, or by calibration."""
    if equal:
        sources = " and ".join(sorted({cost.source for cost in equal}))
        return Cost(fmean(c.seconds for c in equal), round(fmean(c.bytes for c in equal)), sources)
    if work and work.counts and job.to_do:
        seconds = sum(count * measure(what, work.context) for what, count in work.counts)
        return Cost(seconds, work.bytes, f"calibration, {device_name()}")
    return Cost(None, work.bytes if work else 0, "unknown")


def _sum(pieces: Sequence[Cost]) -> Cost:
    """The cost of a job by those of its pieces; of one that has no more than to list models, nothing."""
    seconds = None if any(cost.seconds is None for cost in pieces) else sum(cost.seconds for cost in pieces)
    sources = " and ".join(sorted({cost.source for cost in pieces})) or "models that are there"
    return Cost(seconds, sum(cost.bytes for cost in pieces), sources, sum(cost.moved for cost in pieces))


NOTES = """\
A calibration counts an attack as one whole run for each image, an unlearning run as the longest that its grid allows,
and SVMs by the square of their samples, on random logits. In no number: some seconds for each job's start."""


def report(jobs: Sequence[Job], costs: Mapping[Job, Cost], price: float | None = None) -> str:
    """The table of stages, the totals and the longest chain, as text. price: of an hour of a GPU, in any currency."""
    depth = {job: len(chain) for job, chain in dearest_paths(jobs, lambda _: 1).items()}
    stages: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        stages[job.dataset, job.stage].append(job)
    order = sorted(stages, key=lambda key: (not key[0], key[0], max(depth[job] for job in stages[key])))
    to_do = [job for job in jobs if job.to_do]
    rows = [
        ("data set", "stage", "jobs", "to do", "asks for", "time", "longest job", "its limit", "writes", "measured by")
    ]
    rows += [(*key, str(len(stages[key])), *_row([j for j in stages[key] if j.to_do], costs)) for key in order]
    rows.append(("all", "", str(len(jobs)), str(len(to_do)), *[""] * 4, _size(sum(costs[j].bytes for j in to_do)), ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = (0, 1, 4, 9)
    table = [
        "  ".join(f"{cell:{'<' if k in texts else '>'}{widths[k]}}" for k, cell in enumerate(row)).rstrip()
        for row in rows
    ]
    return "\n".join([*table, "", *_totals(jobs, costs, price), "", *_chain(jobs, costs)])


def _row(to_do: Sequence[Job], costs: Mapping[Job, Cost]) -> tuple[str, ...]:
    """What the table says of a stage's jobs that are still to do."""
    if not to_do:
        return "0", *[""] * 5, "done"
    known = [costs[job].seconds for job in to_do if costs[job].seconds is not None]
    longest, total = (duration(max(known)), duration(sum(known))) if known else ("unknown", "unknown")
    limit = to_do[0].resources.get("runtime")
    return (
        str(len(to_do)),
        f"{to_do[0].gpus} GPU" if to_do[0].gpus else "CPU",
        f"> {total}" if 0 < len(known) < len(to_do) else total,
        longest,
        duration(60 * int(limit)) if limit else "",
        _size(sum(costs[job].bytes for job in to_do)),
        "; ".join(sorted({costs[job].source for job in to_do})),
    )


def _totals(jobs: Sequence[Job], costs: Mapping[Job, Cost], price: float | None) -> list[str]:
    """Hours that are still to be spent, by what says so, what they cost, and what is in no number."""
    hours: dict[tuple[str, str], float] = defaultdict(float)
    for job in jobs:
        if job.to_do and costs[job].seconds is not None:
            kind = "GPU-hours" if job.gpus else "CPU-hours"
            hours[kind, costs[job].source] += costs[job].seconds * max(job.gpus, 1) / 3600
    done = [costs[job] for job in jobs if not job.to_do]
    spent, size = duration(sum(cost.seconds or 0 for cost in done)), sum(cost.bytes for cost in done)
    unknown = sorted({job.stage for job in jobs if job.to_do and costs[job].seconds is None})
    moved = sum(costs[job].moved for job in jobs if job.to_do)
    on_gpus = sum(left for (kind, _), left in hours.items() if kind == "GPU-hours")
    return [
        *(f"To do: {left:,.2f} {kind}; {source}" for (kind, source), left in sorted(hours.items(), reverse=True)),
        *([f"Moved to and from a GPU's memory: {_size(round(moved))}"] if moved else []),
        *([f"Price: {price * on_gpus:,.2f}, at {price:g} for a GPU-hour"] if price is not None else []),
        f"Done: {len(done)} jobs, {spent}, {size / 1e9:.2f} GB",
        f"Unknown until one was run, and in no sum: {', '.join(unknown) or 'nothing'}",
        NOTES,
    ]


MACHINES = (1, 8, 64)
"""Numbers of GPUs that the plan says the time on."""


def _chain(jobs: Sequence[Job], costs: Mapping[Job, Cost]) -> list[str]:
    """The time on so many GPUs, and the longest chain of jobs that are to do."""

    def seconds(job: Job) -> float:
        return costs[job].seconds or 0.0

    to_do = [job for job in jobs if job.to_do]
    chain = max(dearest_paths(to_do, seconds).values(), key=lambda chain: sum(map(seconds, chain)), default=[])
    times = [f"{duration(makespan(to_do, seconds, gpus))} on {gpus}" for gpus in MACHINES]
    return [
        *([f"Time by number of GPUs: {', '.join(times)}"] if any(job.gpus for job in to_do) else []),
        f"Longest chain of jobs, the least time with endless machines: {duration(sum(map(seconds, chain)))}",
        *(f"{duration(costs[job].seconds):>12}  {job.stage}: {job.name}" for job in chain),
    ]


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "unknown"
    size, unit = next((s, u) for s, u in ((3600, "h"), (60, "min"), (0, "s")) if seconds >= s)
    return f"{seconds / (size or 1):,.1f} {unit}"


def _size(size: int) -> str:
    """Bytes for people; empty for none."""
    unit, name = next(
        (s, n) for s, n in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0, "B")) if size >= s
    )
    return f"{size / (unit or 1):,.1f} {name}" if size else ""


def plan(config: Path, *, gpu: str = "", price: float | None = None) -> None:
    """Print the jobs of a config, what they will cost and write, and the longest chain of them.

    Times are those of finished jobs where there are any, otherwise of a short calibration on this machine's device. For
    jobs that ask for a GPU where this machine has none, they are counted for one by the name --gpu (h100, a100, ...;
    h100 if none is given): operations and bytes of its data sheet, times the share of them that receipts of such a
    GPU have reached, or 40% while there are none. --price is that of an hour of a GPU.

        amun plan config/quickstart.yaml
        amun plan config/config.yaml --gpu a100 --price 1.5

    Raises InputError for a config that is not there or is wrong, and for a GPU that is not known.
    """
    here = torch.cuda.is_available() and not gpu
    where = None if here else known_gpu(gpu or "h100")
    stages = load_file(config)
    try:
        try_networks(stages)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from None
    jobs = read_jobs(config)
    print(report(jobs, costs_of(jobs, stages, where), price))
