"""Unlearning methods, one file each, found by their name in the config.

A module has `unlearn(request, *, ...hyperparameters) -> Update`: which samples with which labels are passed over in an
epoch, the sign of the loss, a penalty, a mask. `NEEDS` names what the method cannot do without: "remain" (access to
D_R) or "adversarial" (D_A of Algorithm 1). A new method is a new file here and a line in the config; nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from amun_steps.training.recipe import Passes, Penalty, Samples
from amun_steps.training.stack import Stack

BATCH = 1024  # images whose gradients are in memory at once; half of a large data set may be forgotten


@dataclass(frozen=True)
class Request:
    """What a method is given to unlearn D_F from one original model.

    remain: D_R, empty where there is no access to it. forget: D_F, true labels. adversarial: D_A with the wrong labels,
    never augmented; empty for a method that does not need it. model: a stack of one, theta_o, to be read only. images:
    (K, channels, height, width) the pool that `Samples.index` names.
    """

    remain: Samples
    forget: Samples
    adversarial: Samples
    model: Stack
    images: Tensor
    classes: int

    def logits(self, images: Tensor) -> Tensor:
        """(n, classes) logits of theta_o in evaluation mode."""
        return self.model.logits(images[None])[0]

    def forgotten(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of D_F and their labels on the device, `batch` at a time."""
        device = self.images.device
        for index, label in zip(self.forget.index.split(batch), self.forget.label.split(batch), strict=True):
            yield self.images[index.to(device)], label.to(device)


@dataclass(frozen=True)
class Update:
    """What a method does: see `amun_steps.training.fit.Member` for each."""

    passes: Passes
    penalty: Penalty | None = None
    mask: Tensor | None = None


def wrong_labels(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """(n,) labels, each uniform over the classes - 1 wrong ones."""
    return (labels + torch.randint(1, classes, labels.shape, generator=generator)) % classes
