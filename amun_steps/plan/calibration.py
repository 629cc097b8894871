"""What one image costs on this machine: the workflow's own code, run for a moment with a config's network."""

import functools
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from pydantic import TypeAdapter

from amun_steps.attacks import log_odds_against
from amun_steps.judging import mis
from amun_steps.judging.judge import Judge
from amun_steps.store.addresses import canonical
from amun_steps.store.progress import LOG
from amun_steps.training import stack as stacks
from amun_steps.training.device import device
from amun_steps.training.fit import fit, supervised
from amun_steps.training.recipe import Member, Recipe, Samples, Schedule
from amun_steps.training.trades import Trades

SECONDS, FEW, TEST = 2.0, 4, 1000
"""A calibration takes about SECONDS, on at least FEW images; what only scores has TEST test samples at most."""


def _train(*, network: dict, recipe: dict, trades: dict | None, models: int) -> float:
    """Seconds that the training loop takes for an image and a model, `models` of them side by side."""
    recipe, objective = TypeAdapter(Recipe).validate_python(recipe), Trades(**trades) if trades else supervised
    recipe = replace(recipe, compile=recipe.compile and device().type == "cuda")
    stack = stacks.initialise(network, range(models), device())

    def run(images: torch.Tensor) -> None:
        index = torch.arange(len(images))
        samples = Samples.of(index, torch.zeros_like(index))
        fit(stack, images, [Member(lambda *_: [samples], Schedule(1e-3), 0)] * models, recipe, objective=objective)

    return _per_image(run, network, recipe.batch_size) / models


def _predict(*, network: dict, models: int) -> float:
    """Seconds that prediction takes for an image and a model."""
    return _per_image(stacks.initialise(network, range(models), device()).predict, network) / models


def _attack(*, network: dict) -> float:
    """Seconds that an attack's gradient of one image takes."""
    model = stacks.initialise(network, [0], device())

    def run(images: torch.Tensor) -> None:
        for x in images.split(1024):
            x = x.clone().requires_grad_()
            labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
            torch.autograd.grad(log_odds_against(model.logits(x[None])[0], labels).sum(), x)[0].cpu()

    return _per_image(run, network)


def _per_image(run: Callable[[torch.Tensor], object], network: dict, batch: int = 1024) -> float:
    """Seconds that `run` takes for an image: for a few, or as many as fit SECONDS, in whole batches where they do."""

    def seconds(count: int) -> float:
        images = torch.rand(count, *network["shape"], device=device())
        return _seconds(lambda: run(images)) / count

    seconds(FEW)  # the first call is slower than all others
    found = seconds(FEW)
    count = FEW
    while found * count < SECONDS / 2 and (more := min(int(SECONDS / found), 8 * count)) > count:
        count = more - more % batch if more > batch else more  # a few images, or a first batch, waste a GPU's time
        found = seconds(count)
    return found


def _score(**sizes: int) -> float:
    """Seconds that accuracies and RMIA of one model take: those of a part of the samples, in proportion."""
    share, logits, labels, train, forget = _part(**sizes)
    judge = Judge(np.full(len(labels), 0.5), labels, train, {}, gamma=2.0)
    return share * _seconds(lambda: judge.metrics(logits, judge.membership(logits), forget))


def _svm(**sizes: int) -> float:
    """Seconds that the SVMs of MIS take for one model: those of a part of the samples, in proportion to its square."""
    share, logits, labels, train, forget = _part(**sizes)
    sets = [np.flatnonzero(chosen) for chosen in (train & ~forget, forget, ~train)]
    generator = np.random.default_rng(0)
    mis.scores(logits, labels, *(chosen[:10] for chosen in sets), generator)  # imports what it needs
    return share**2 * _seconds(lambda: mis.scores(logits, labels, *sets, generator))


def _part(*, train: int, test: int, classes: int, forget: int) -> tuple[float, np.ndarray, ...]:
    """How many times larger a data set is than its part with TEST test samples; of that part, random logits (N,
    classes) and labels (N,), and (N,) bool: which samples are for training, and which of these are forgotten."""
    share, generator = max(1.0, test / TEST), np.random.default_rng(0)
    train, test, forget = (math.ceil(count / share) for count in (train, test, forget))
    row = np.arange(train + test)
    logits = generator.normal(size=(len(row), classes))
    return share, logits, generator.integers(0, classes, len(row)), row < train, row < forget


def _seconds(run: Callable[[], object]) -> float:
    """The seconds that `run` takes; on a CPU the processor's own, since others may use it too."""
    clock = time.process_time if device().type == "cpu" else time.perf_counter
    start = clock()
    run()
    return clock() - start


MEASURES = {
    "train": (_train, ("network", "recipe", "trades", "models")),
    "predict": (_predict, ("network", "models")),
    "attack": (_attack, ("network",)),
    "score": (_score, ("train", "test", "classes", "forget")),
    "svm": (_svm, ("train", "test", "classes", "forget")),
}
"""What is calibrated, and what of a job's context it depends on."""


def measure(what: str, context: str) -> float:
    """Seconds on this machine of one of what is counted as `what`, by calibration."""
    known = json.loads(context)
    return _measured(what, canonical({name: known[name] for name in MEASURES[what][1]}))


@functools.cache
def _measured(what: str, arguments: str) -> float:
    LOG.info("measuring how fast this machine is: %s", what)
    logging.disable()  # what it trains for that is no news
    try:
        return MEASURES[what][0](**json.loads(arguments))
    finally:
        logging.disable(logging.NOTSET)
