"""What the models of a stack are trained on, and how: samples, the recipe they share, and what is each one's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (n, classes) of the model that is trained, images (n, ...) as it sees them, labels (n,)) -> (n,) loss."""


@dataclass(frozen=True)
class Samples:
    """A set of n training samples. `a + b` is their union, `a[rows]` a part, `0.3 * a` the same samples with 0.3 of the
    loss, `-a` with the loss negated.

    index: (n,) rows of the pool of images. label: (n,) classes. augment: (n,) whether the images are augmented.
    weight: (n,) factor of each sample's loss. loss: (n,) which loss that is: 0 is the objective, such as the cross
    entropy, others are the `losses`, counted from 1.
    """

    index: Tensor
    label: Tensor
    augment: Tensor
    weight: Tensor
    loss: Tensor
    losses: tuple[Loss, ...] = ()

    @classmethod
    def of(cls, index: Tensor, label: Tensor, augment: bool = True) -> "Samples":
        """Samples with loss factor 1 of the objective, all augmented or none."""
        return cls(index, label, torch.full(index.shape, augment), torch.ones(index.shape), torch.zeros_like(index))

    @classmethod
    def among(cls, included: np.ndarray, labels: Tensor) -> "Samples":
        """The rows where `included` (N,) bool of a pool that starts with N images, whose `labels` are (N,)."""
        index = torch.from_numpy(np.flatnonzero(included))
        return cls.of(index, labels[index])

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: "Samples") -> "Samples":
        losses = tuple(dict.fromkeys(self.losses + other.losses))
        number = torch.tensor([0, *(losses.index(loss) + 1 for loss in other.losses)])
        theirs = replace(other, loss=number[other.loss])
        return Samples(*(torch.cat(pair) for pair in zip(self._columns(), theirs._columns(), strict=True)), losses)

    def __getitem__(self, rows: Tensor) -> "Samples":
        return Samples(*(column[rows] for column in self._columns()), self.losses)

    def __rmul__(self, factor: float) -> "Samples":
        return replace(self, weight=factor * self.weight)

    def __neg__(self) -> "Samples":
        return -1 * self

    def with_labels(self, label: Tensor) -> "Samples":
        """The same images with other labels."""
        return replace(self, label=label)

    def with_loss(self, loss: Loss) -> "Samples":
        """The same samples with a loss of their own in place of the objective."""
        return replace(self, loss=torch.ones_like(self.loss), losses=(loss,))

    def _columns(self) -> tuple[Tensor, ...]:
        return self.index, self.label, self.augment, self.weight, self.loss


Item = Samples | tuple[Samples, ...]
"""What is passed over at a time: a set; or several, of each of which every batch has as many samples, with the sum of
their mean losses. The shorter ones begin anew until the longest is through."""


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


Passes = Callable[[Generator, int], Sequence[Item]]
Penalty = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Member:
    """What one model of a stack is trained on.

    passes: called once an epoch with the member's generator and the epoch, counted from 0: what is passed over, one
    item after the other, each shuffled within itself. penalty: (weights (parameters,), share of the epochs that are
    done, in [0, 1)) -> a scalar added to the loss. mask: (parameters,) bool, False where a weight must not move, or
    float, the share of its step that a weight takes; all members have one of the same type, or none.
    """

    passes: Passes
    schedule: Schedule
    seed: int
    penalty: Penalty | None = None
    mask: Tensor | None = None
