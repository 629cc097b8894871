"""What a job does: the images that it passes over, the models that it scores, the bytes that it writes."""

import functools
import importlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from amun_steps.datasets import Sizes
from amun_steps.methods import Request
from amun_steps.plan.forget import forgotten
from amun_steps.plan.jobs import Job
from amun_steps.plan.networks import known_sizes
from amun_steps.plan.stage import Stage
from amun_steps.steps.choose import choices, part_of, trial_count
from amun_steps.steps.finetune import PANELS, SETS
from amun_steps.store.addresses import canonical
from amun_steps.training import stack as stacks
from amun_steps.training.batches import sets_of
from amun_steps.training.recipe import Samples

ASKED = 20
"""Images of each kind that a method is asked with what it passes over: enough for a share of them."""

PASSES = {
    "pgd": lambda parameters: {"attack": parameters["steps"]},
    "ddn": lambda parameters: {"attack": parameters["steps"]},
    "ffgsm": lambda parameters: {"attack": 1, "predict": parameters["rounds"]},
}
"""What a whole run of an attack passes over, for each image. Algorithm 1 is counted as one such run for every sample;
it stops early for most and starts again for some, which depends on the model (see `amun_steps.steps.adversarial`)."""


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
    """The work of a job of `stage`, on a data set of these sizes; of one that trains reference models, for each."""
    wanted, on, samples = stage.parameters, stage.builds_on, sizes.train + sizes.test
    asked = next((on[role].parameters for role in ("forget", "requests") if role in on), {})
    forget = forgotten(on["forget"], sizes) if "forget" in on else round(asked.get("fraction", 0) * sizes.train)
    context = {name: value for name, value in vars(sizes).items() if name != "names"} | {"forget": forget}
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
        points = choices(on["tuned"].parameters["grid"], on["tuned"].parameters.get("limit"))
        return max(images_of(wanted["unlearning"], point, train, forget) for point in points)

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
            return work(model, 1, predict=samples)
        case "references":  # every sample is in half of them
            epochs = wanted["training"]["recipe"]["epochs"]
            return work(model, len(job.models), wanted["training"], train=epochs * samples // 2)
        case "signals" | "confidences":
            count = trained.builds_on["inclusion"].parameters["references"]
            return work(8 * count * samples, count, predict=count * samples)
        case "adversarial":
            sets = [source for source in on.values() if source.kind == "forget"]
            asked_for = sum((source.parameters["sets"] + 1) * forgotten(source, sizes) for source in sets)
            images = min(asked_for, sizes.train) if sets else sizes.train
            return work(images * (4 * math.prod(sizes.shape) + 24), **_attacked(wanted["attack"], images))
        case "tuned" if job.rule == "tune":
            cut = int(job.wildcards["part"]), int(job.wildcards["parts"])
            points = part_of(wanted["grid"], *cut, wanted.get("limit"))
            images = sum(images_of(wanted["unlearning"], point, sizes.train, forget) for point in points)
            trials = trial_count(len(points), len(wanted["on"]), wanted.get("racing"))  # whose choices nobody knows yet
            counts = {"train": images * trials // len(points), "predict": trials * samples, "score": trials}
            return work(0, trials, wanted["unlearning"], **counts)
        case "unlearned":
            runs = _runs(stage, asked)
            counts = {"train": runs * longest(sizes.train), "predict": runs * samples}
            return work(runs * model_and_outputs, runs, wanted["unlearning"], **counts)
        case "shadows":  # half of the data, and of what is forgotten
            count = on["inclusion"].parameters["references"] // (2 if wanted.get("judges") == "half" else 1)
            counts = {"train": count * longest(samples) // 2, "predict": count * samples}
            if "attack" in wanted:
                counts |= _attacked(wanted["attack"], count * forget // 2)
            return work(10 * count * samples, count, wanted["unlearning"], **counts)
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


def images_of(unlearning: Mapping[str, Any], point: Mapping[str, Any], train: int, forget: int) -> int:
    """The images that one run of a method passes over; `forget` of `train` training samples are forgotten."""
    hyperparameters = {name: value for name, value in point.items() if name not in ("learning_rate", "step")}
    epochs = unlearning["recipe"]["epochs"]
    turns = _turns(unlearning["method"], canonical(hyperparameters), unlearning["remain"], epochs)
    parts = (train - forget, forget, forget)
    passed = [[sum(n * size for n, size in zip(one, parts, strict=True)) for one in sets] for sets in turns]
    return round(sum(len(sets) * max(sets) for sets in passed if sets))


@functools.cache
def _turns(method: str, hyperparameters: str, remain: bool, epochs: int) -> list[list[list[float]]]:
    """Of each set of each turn of all epochs, what it has of D_R, D_F and D_A: the method itself is asked, with ASKED
    images of each. What a method adds to the pool counts as D_F, of which there is one for each."""
    index = torch.arange(3 * ASKED)
    of_each = (index[: ASKED * int(remain)], index[ASKED : 2 * ASKED], index[2 * ASKED :])
    rows = [Samples.of(part, torch.zeros_like(part)) for part in of_each]
    network = {"name": "small_resnet", "width": 1, "strides": [], "stem_stride": 1, "shape": [1, 8, 8], "classes": 2}
    model = stacks.initialise(network, [0], torch.device("cpu"))
    unlearn = importlib.import_module(f"amun_steps.methods.{method}").unlearn
    update = unlearn(Request(*rows, model, torch.rand(3 * ASKED, 1, 8, 8), 2), **json.loads(hyperparameters))
    generator = torch.Generator().manual_seed(0)
    turns = [sets_of(item) for epoch in range(epochs) for item in update.passes(generator, epoch)]
    return [[_parts(samples) for samples in sets] for sets in turns]


def _parts(samples: Samples) -> list[float]:
    """How often a set has D_R, D_F and D_A, in samples for each of theirs."""
    which = torch.where(samples.index < 3 * ASKED, samples.index // ASKED, 1)
    return (which.bincount(minlength=3) / ASKED).tolist()


@functools.cache
def _model_bytes(network: str) -> int:
    """The bytes of one model's parameters and buffers."""
    module = stacks.skeleton(json.loads(network))
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
