"""The demo's main experiment as `config/quickstart.yaml` has it, for benchmarks: digits, its network, its recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from amun_steps.datasets import digits
from amun_steps.plan.config_file import read
from amun_steps.steps.adversarial import Attack
from amun_steps.training.data import Dataset
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Recipe, Samples, Schedule
from amun_steps.training.stack import Stack, build, initialise

CONFIG = read(Path(__file__).parent.parent / "config" / "quickstart.yaml")
MAIN = CONFIG["experiments"]["digits"]
ATTACK = TypeAdapter(Attack).validate_python(CONFIG["attacks"][MAIN["attack"]])


def recipe(of: dict[str, Any], **changes: Any) -> Recipe:
    """The recipe in an entry of the config's `training` or `unlearning`."""
    return TypeAdapter(Recipe).validate_python(of | changes)


@dataclass(frozen=True)
class Digits:
    """The images, and models of the demo's network that are trained as the demo's; `epochs` in place of its own."""

    epochs: int | None = None

    @cached_property
    def data(self) -> Dataset:
        parameters = {key: value for key, value in CONFIG["datasets"]["digits"].items() if key != "source"}
        images, labels, train = digits.read(**parameters)
        order = np.argsort(~train, kind="stable")
        return Dataset(images[order], labels[order].astype(np.int64), train[order])

    @cached_property
    def images(self) -> Tensor:
        """(N, 1, 8, 8) on the device, training images first."""
        return images_on(self.data, device())

    @cached_property
    def labels(self) -> Tensor:
        """(N,) on the CPU."""
        return torch.from_numpy(self.data.labels)

    @property
    def network(self) -> dict[str, Any]:
        return MAIN["network"] | {"shape": self.data.images.shape[1:], "classes": self.data.classes}

    def models(self, members: Sequence[np.ndarray], first: int = 0) -> Stack:
        """A model trained on each of `members` (N,) bool, with seeds `first`, `first` + 1, ..."""
        training = CONFIG["training"]["scratch"]
        schedule = TypeAdapter(Schedule).validate_python(training)
        wanted = recipe(training, **({"epochs": self.epochs} if self.epochs else {}))
        parts = []
        for seed, included in enumerate(members, first):  # one at a time is the fastest on a CPU
            model, samples = initialise(self.network, [seed], device()), Samples.among(included, self.labels)
            fit(model, self.images, [Member(lambda *_, own=samples: [own], schedule, seed)], wanted)
            parts.append(model)
        models = initialise(self.network, [0] * len(parts), device())
        for number, part in enumerate(parts):
            models[[number]] = part
        return models


def forward_of(model: Stack):
    """The logits of a stack of one, as attacks take them."""
    return lambda x: model.logits(x[None])[0]


def module_of(model: Stack) -> nn.Module:
    """The model of a stack of one as a plain module in evaluation mode, as other packages take it."""
    module = build(model.network).to(model.weights.device).eval()
    state = model.parameters(model.weights) | model.buffers
    module.load_state_dict({name: tensor[0].detach().clone() for name, tensor in state.items()})
    return module
