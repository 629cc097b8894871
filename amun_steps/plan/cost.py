"""The plan before the spend: how many jobs a config makes, how long they take and what they write.

`amun plan CONFIG` asks the workflow itself for its jobs, by dry runs, and counts the images that each passes over. What
they cost is in the receipts of finished jobs of the same stage that did the same work; where there is none, the same
code is run for a moment with the same network, on this machine's device.
"""

import functools
import importlib
import json
import math
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from amun_steps.datasets import Sizes
from amun_steps.methods import Request
from amun_steps.plan.calibration import measure
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import known_sizes, try_networks
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.views import load_file
from amun_steps.steps.choose import choices, part_of
from amun_steps.steps.finetune import PANELS, SETS
from amun_steps.store.addresses import STORE, canonical, without_addresses
from amun_steps.store.step import InputError, device_name, read_receipt
from amun_steps.training import stack as stacks
from amun_steps.training.fit import Samples

PASSES = {
    "pgd": lambda parameters: {"attack": parameters["steps"]},
    "ffgsm": lambda parameters: {"attack": 1, "predict": parameters["rounds"]},
}
"""What a whole run of an attack passes over, for each image. Algorithm 1 is counted as one such run for every sample;
it stops early for most and starts again for some, which depends on the model (see `amun_steps.steps.adversarial`)."""


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
        """Its rule; but all rules for reference models are one stage, and those for what people read another."""
        return re.sub(r"\d+to\d+of\d+$", "", self.rule) if self.outputs[0].startswith(f"{STORE}/") else "views"

    @property
    def name(self) -> str:
        """Its first output, without the addresses."""
        return without_addresses(self.outputs[0].removeprefix(f"{STORE}/"))

    @property
    def dataset(self) -> str:
        """The data set that it is for; empty for what people read."""
        return "" if self.stage == "views" else self.name.split("/")[0]

    @property
    def gpus(self) -> int:
        return int(self.resources.get("gpu", 0))


def read_jobs(config: Path) -> list[Job]:
    """All jobs of a config as Snakemake plans them here. Raises InputError, with what it says, when it cannot."""
    to_do = {fields["output"] for _, fields in _dry_run(config)}
    jobs = []
    for rule, fields in _dry_run(config, "--forceall"):
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
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", "--configfile", str(config), *options]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"{config}: Snakemake cannot plan it:\n{(done.stdout + done.stderr)[-2000:]}")
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", done.stdout, re.MULTILINE)
    found = [(rule, dict(re.findall(r"^ {4}(\w+): (.*)$", text, re.MULTILINE))) for rule, text in blocks]
    return [(rule, fields) for rule, fields in found if "output" in fields]


def sizes_of(dataset: Stage) -> Sizes:
    """What is known of a data set's sizes; its reader is run where nothing is."""
    known = known_sizes(dataset)
    if known:
        return known
    reader = importlib.import_module(f"amun_steps.datasets.{dataset.parameters['source']}")
    images, labels, train = reader.read(**dataset.parameters["parameters"], **dataset.elsewhere)
    return Sizes(int(train.sum()), int((~train).sum()), images.shape[1:], int(labels.max()) + 1)


@dataclass(frozen=True)
class Work:
    """What a job does; jobs of a stage with equal work cost the same.

    counts: how many images, times models, each of calibration's MEASURES passes over, or how many models it scores
    against a forget set; empty where that is not known. context: what these depend on, as JSON. bytes: of the
    models and arrays. Not counted are what a method computes before its first epoch, the search for epsilon_init, CSV
    and JSON.
    """

    counts: tuple[tuple[str, int], ...]
    context: str
    bytes: int


def work_of(job: Job, stage: Stage, sizes: Sizes) -> Work:
    """The work of a job of `stage`, on a data set of these sizes."""
    wanted, on, samples = stage.parameters, stage.builds_on, sizes.train + sizes.test
    asked = next((on[role].parameters for role in ("forget", "requests") if role in on), {"fraction": 0})
    forget = round(asked["fraction"] * sizes.train)
    context = vars(sizes) | {"forget": forget}
    own = {"training", "given"} & wanted.keys()
    trained = stage if own else on.get("originals") or on.get("references")
    if trained:
        images = {"shape": sizes.shape, "classes": sizes.classes}
        context["network"] = trained.parameters.get("training", trained.parameters)["network"] | images
        model = _model_bytes(canonical(context["network"]))
        model_and_outputs = model + 4 * samples * sizes.classes

    def work(size: int, models: int = 1, training: Mapping[str, Any] | None = None, **counts: int) -> Work:
        stack = min(models, int(job.resources.get("stack", 1)))
        recipe = {**training["recipe"], "epochs": 1} if training else None
        more = {"models": stack, "recipe": recipe, "trades": (training or {}).get("trades")}
        if "clipping" in (training or {}):  # how long a spectral norm takes to come down depends on the model
            counts, more = {}, more | {"clipping": training["clipping"]}
        return Work(tuple(counts.items()), canonical(context | more), size)

    def longest(train: int) -> int:  # which choice tuning makes is not known yet
        points = choices(on["tuned"].parameters["grid"])
        return max(_images(wanted["unlearning"], point, train, forget) for point in points)

    match stage.kind:
        case "dataset":
            return work(samples * (math.prod(sizes.shape) + 3))
        case "forget":
            return work((wanted["sets"] + 1) * samples)
        case "inclusion":
            return work(wanted["references"] * samples)
        case "requests":
            return work(wanted["sets"] * wanted["requests"] * samples)
        case "originals" | "retrained" | "submitted" if "given" in wanted:  # from files
            count = stage.count * (asked["sets"] if stage.kind == "submitted" else 1)
            return work(count * model_and_outputs, count, predict=count * samples)
        case "originals" | "retrained":
            count, epochs = wanted["count"], wanted["training"]["recipe"]["epochs"]
            counts = {"train": count * epochs * (sizes.train - forget), "predict": count * samples}
            return work(count * model_and_outputs, count, wanted["training"], **counts)
        case "references" if "given" in wanted:
            return work(len(job.outputs) * model, len(job.outputs), predict=len(job.outputs) * samples)
        case "references":  # every sample is in half of them
            count, epochs = len(job.outputs), wanted["training"]["recipe"]["epochs"]
            return work(count * model, count, wanted["training"], train=count * epochs * samples // 2)
        case "signals":
            count = trained.builds_on["inclusion"].parameters["references"]
            return work(8 * count * samples, count, predict=count * samples)
        case "adversarial":
            return work(sizes.train * (4 * math.prod(sizes.shape) + 24), **_attacked(wanted["attack"], sizes.train))
        case "tuned" if job.rule == "tune":
            points = part_of(wanted["grid"], int(job.wildcards["part"]), int(job.wildcards["parts"]))
            images = sum(_images(wanted["unlearning"], point, sizes.train, forget) for point in points)
            count, trials = len(wanted["on"]), len(wanted["on"]) * len(points)
            counts = {"train": count * images, "predict": trials * samples, "score": trials}
            return work(0, trials, wanted["unlearning"], **counts)
        case "unlearned":
            runs = _runs(stage, asked)
            counts = {"train": runs * longest(sizes.train), "predict": runs * samples}
            return work(runs * model_and_outputs, runs, wanted["unlearning"], **counts)
        case "scores":
            made = on["models"]
            rows = _runs(made, asked) if made.kind == "unlearned" else asked["sets"] * made.count
            return work(8 * rows * samples, score=rows, svm=rows)
        case "continuous":  # what was forgotten is out of D_R from then on
            runs, each = _runs(stage, asked), asked["requests"]
            counts = Counter(predict=each * samples, score=each)
            counts["train"] = sum(longest(sizes.train - k * forget) for k in range(each))
            if "attack" in wanted:
                attacked = _attacked(wanted["attack"], each * forget)
                if not attacked:
                    return work(0)
                counts.update(attacked)
            return work(0, runs, wanted["unlearning"], **{what: runs * count for what, count in counts.items()})
        case "finetuned":
            count, epochs = len(SETS) * on["originals"].count, wanted["recipe"]["epochs"]
            images = count * epochs * (sizes.train + forget + len(PANELS) * forget)
            tested = count * len(PANELS) * (epochs + 1) * sizes.test
            return work(0, count * len(PANELS), wanted, train=images, predict=tested)
    return work(0)


def _runs(stage: Stage, asked: Mapping[str, Any]) -> int:
    """The unlearning runs of a method: sets that are asked to be forgotten x originals x repetitions."""
    return asked["sets"] * stage.builds_on["originals"].count * stage.parameters["runs"]


def _attacked(attack: Mapping[str, Any], images: int) -> dict[str, int]:
    """What one run of an attack on `images` images passes over; nothing for an attack that PASSES does not know."""
    passes = PASSES.get(attack["algorithm"], lambda _: {})(attack["parameters"])
    return {what: count * images for what, count in passes.items()}


def _images(unlearning: Mapping[str, Any], point: Mapping[str, Any], train: int, forget: int) -> int:
    """The images that one run of a method passes over; `forget` of `train` training samples are forgotten."""
    hyperparameters = {name: value for name, value in point.items() if name not in ("learning_rate", "step")}
    remain, forgotten, adversarial = _passes(unlearning["method"], canonical(hyperparameters), unlearning["remain"])
    return unlearning["recipe"]["epochs"] * (remain * (train - forget) + (forgotten + adversarial) * forget)


@functools.cache
def _passes(method: str, hyperparameters: str, remain: bool) -> list[int]:
    """How often an epoch passes over D_R, D_F and D_A: the method itself is asked, with one image of each."""
    index = torch.arange(3)
    rows = [Samples.of(part, torch.zeros_like(part)) for part in (index[: int(remain)], index[1:2], index[2:])]
    network = {"name": "small_resnet", "width": 1, "strides": [], "stem_stride": 1, "shape": [1, 8, 8], "classes": 2}
    model = stacks.initialise(network, [0], torch.device("cpu"))
    unlearn = importlib.import_module(f"amun_steps.methods.{method}").unlearn
    update = unlearn(Request(*rows, model, torch.rand(3, 1, 8, 8), 2), **json.loads(hyperparameters))
    passed = update.passes(torch.Generator().manual_seed(0))
    return torch.cat([samples.index for samples in passed]).bincount(minlength=3).tolist()


@functools.cache
def _model_bytes(network: str) -> int:
    """The bytes of one model's parameters and buffers."""
    with torch.device("meta"):
        module = stacks.build(json.loads(network))
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))


@dataclass(frozen=True)
class Cost:
    """What a job costs: seconds (None where nobody knows), bytes that it writes, and what says so, on which device."""

    seconds: float | None
    bytes: int
    source: str


def costs_of(jobs: Sequence[Job], plan: Plan) -> dict[Job, Cost]:
    """The cost of each job: by its own receipt, the mean of those of jobs with equal work, or calibration."""
    sizes = {stage: sizes_of(stage) for stage in plan.stages.values() if stage.kind == "dataset"}
    works, known = {}, defaultdict(list)
    costs: dict[Job, Cost] = {}
    for job in jobs:
        stage = stage_of(job, plan)
        works[job] = stage and work_of(job, stage, sizes[stage.builds_on.get("dataset", stage)])
        receipts = [read_receipt(Path(path)) for path in job.outputs]
        if receipts[0]:  # also where the artifact itself was deleted: the address says that the work is the same
            size = sum(receipt["bytes"] for receipt in receipts if receipt)
            costs[job] = Cost(receipts[0]["seconds"], size, f"receipts, {receipts[0]['device']}")
            known[job.stage, works[job]].append(costs[job])
    for job in jobs:
        if job in costs:
            continue
        equal, work = known[job.stage, works[job]], works[job]
        if equal:
            sources = " and ".join(sorted({cost.source for cost in equal}))
            costs[job] = Cost(fmean(c.seconds for c in equal), round(fmean(c.bytes for c in equal)), sources)
        elif work and work.counts and job.to_do:
            seconds = sum(count * measure(what, work.context) for what, count in work.counts)
            costs[job] = Cost(seconds, work.bytes, f"calibration, {device_name()}")
        else:
            costs[job] = Cost(None, work.bytes if work else 0, "unknown")
    return costs


def dearest_paths(jobs: Sequence[Job], seconds: Callable[[Job], float]) -> dict[Job, list[Job]]:
    """For each job, the chain of jobs that takes longest until it is done: what must run one after the other."""
    makers = {path: job for job in jobs for path in job.outputs}

    @functools.cache
    def path(job: Job) -> list[Job]:
        before = {makers[name] for name in job.inputs if name in makers}
        return [*max(map(path, before), key=lambda chain: sum(map(seconds, chain)), default=[]), job]

    return {job: path(job) for job in jobs}


BLIND = "CPU-hours for jobs that ask for a GPU (no estimate of GPU-hours: run this on a GPU node for one)"
NOTES = """\
A calibration counts an attack as one whole run for each image, an unlearning run as the longest that its grid allows,
and SVMs by the square of their samples, on random logits. In no number: a job's start, and its reading of files."""


def report(jobs: Sequence[Job], costs: Mapping[Job, Cost]) -> str:
    """The table of stages, the totals and the longest chain, as text."""
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
    return "\n".join([*table, "", *_totals(jobs, costs), "", *_chain(jobs, costs)])


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


def _totals(jobs: Sequence[Job], costs: Mapping[Job, Cost]) -> list[str]:
    """Hours that are still to be spent, by what says so, and what is in no number."""
    hours: dict[tuple[str, str], float] = defaultdict(float)
    for job in jobs:
        if job.to_do and costs[job].seconds is not None:
            kind = "CPU-hours" if not job.gpus else BLIND if ", cpu " in costs[job].source else "GPU-hours"
            hours[kind, costs[job].source] += costs[job].seconds * max(job.gpus, 1) / 3600
    done = [costs[job] for job in jobs if not job.to_do]
    spent, size = duration(sum(cost.seconds or 0 for cost in done)), sum(cost.bytes for cost in done)
    unknown = sorted({job.stage for job in jobs if job.to_do and costs[job].seconds is None})
    return [
        *(f"To do: {left:,.2f} {kind}; {source}" for (kind, source), left in sorted(hours.items(), reverse=True)),
        f"Done: {len(done)} jobs, {spent}, {size / 1e9:.2f} GB",
        f"Unknown until one was run, and in no sum: {', '.join(unknown) or 'nothing'}",
        NOTES,
    ]


def _chain(jobs: Sequence[Job], costs: Mapping[Job, Cost]) -> list[str]:
    """The longest chain of jobs that are to do."""

    def seconds(job: Job) -> float:
        return costs[job].seconds or 0.0

    to_do = [job for job in jobs if job.to_do]
    chain = max(dearest_paths(to_do, seconds).values(), key=lambda chain: sum(map(seconds, chain)), default=[])
    return [
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
    unit, name = next((s, n) for s, n in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0, "B")) if size >= s)
    return f"{size / (unit or 1):,.1f} {name}" if size else ""


def plan(config: Path) -> None:
    """Print the jobs of a config, what they will cost and write, and the longest chain of them.

    Raises InputError for a config that is not there or is wrong.
    """
    stages = load_file(config)
    try:
        try_networks(stages)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from None
    jobs = read_jobs(config)
    print(report(jobs, costs_of(jobs, stages)))
