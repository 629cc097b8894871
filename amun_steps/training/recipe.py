"""What the models of a stack are trained on, and how: samples, the recipe they share, and what is each one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Samples:
    """A set of n training samples. `a + b` is their union, `-a` the same samples with the loss negated.

    index: (n,) rows of the pool of images. label: (n,) classes. augment: (n,) whether the images are augmented.
    sign: (n,) factor of each sample's loss, +1 or -1.
    """

    index: Tensor
    label: Tensor
    augment: Tensor
    sign: Tensor

    @classmethod
    def of(cls, index: Tensor, label: Tensor, augment: bool = True) -> "Samples":
        """Samples with loss factor +1, all augmented or none."""
        return cls(index, label, torch.full(index.shape, augment), torch.ones(index.shape))

    @classmethod
    def among(cls, included: np.ndarray, labels: Tensor) -> "Samples":
        """The rows where `included` (N,) bool of a pool that starts with N images, whose `labels` are (N,)."""
        index = torch.from_numpy(np.flatnonzero(included))
        return cls.of(index, labels[index])

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: "Samples") -> "Samples":
        return Samples(*(torch.cat(pair) for pair in zip(self._fields(), other._fields(), strict=True)))

    def __neg__(self) -> "Samples":
        return Samples(self.index, self.label, self.augment, -self.sign)

    def with_labels(self, label: Tensor) -> "Samples":
        """The same images with other labels."""
        return Samples(self.index, label, self.augment, self.sign)

    def _fields(self) -> tuple[Tensor, ...]:
        return self.index, self.label, self.augment, self.sign


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding by `crop_padding` pixels, and a horizontal flip with probability 1/2."""

    crop_padding: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Schedule:
    """A learning rate that is multiplied by `factor` every `step` epochs; never, when `step` is None."""

    learning_rate: float
    step: int | None = None
    factor: float = 0.1

    def rate(self, epoch: int) -> float:
        """The learning rate in `epoch`, counted from 0."""
        return self.learning_rate * (self.factor ** (epoch // self.step) if self.step else 1.0)


@dataclass(frozen=True)
class Recipe:
    """What the members of a stack share: SGD with momentum, the augmentation, and how the forward pass is computed.

    bfloat16 is autocast's: weights, their gradients and the loss stay in float32. compile: by torch.compile, on a GPU;
    on CPUs without AVX-512 its gradients are wrong (torch 2.14).
    """

    epochs: int
    batch_size: int
    momentum: float
    weight_decay: float
    augmentation: Augmentation
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False


Passes = Callable[[Generator], list[Samples]]
Penalty = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Member:
    """What one model of a stack is trained on.

    passes: called once an epoch with the member's generator: the sets that are passed over one after the other, each
    shuffled within itself. penalty: (weights (parameters,), share of the epochs that are done, in [0, 1)) -> a scalar
    added to the loss. mask: (parameters,) bool, False where a weight must not move; all members have one, or none.
    """

    passes: Passes
    schedule: Schedule
    seed: int
    penalty: Penalty | None = None
    mask: Tensor | None = None
