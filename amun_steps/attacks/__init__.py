"""Adversarial attacks, one file each, found by their name in the config.

A module has `attack(forward, images, labels, epsilon, start, **parameters) -> Attempt`: one attempt per sample inside
the ball of radius `epsilon` around it, from the image `start`, which Algorithm 1 repeats with a larger ball.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Forward = Callable[[Tensor], Tensor]
"""(n, channels, height, width) images in [0, 1] -> (n, classes) logits, in evaluation mode."""


@dataclass(frozen=True)
class Attempt:
    """What an attack found for n samples.

    image: (n, channels, height, width), the adversarial example where `found`, else the last iterate. label: (n,) the
    model's prediction there. found: (n,) bool. passes: (n,) gradients that were computed for the sample.
    """

    image: Tensor
    label: Tensor
    found: Tensor
    passes: Tensor


def norms(x: Tensor) -> Tensor:
    """(n, 1, 1, 1) l2 norm of each of n images."""
    return x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
