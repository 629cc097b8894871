"""Attacks in Algorithm 1, one file each, found by their name in the config.

A module has `attack(forward, images, labels, epsilon_init, seeds, **parameters) -> AdversarialSet`: for each of n
samples, an image near it that the model gets wrong. `seeds` (n,) is for what is random in it, one per sample, so that a
sample's result does not depend on who shares its batch. All parameters are keyword-only. PASSES of
`amun_steps.plan.work` says what an attack costs, for those whose cost is to be estimated before they were run.

It may have `begins_anew(**parameters) -> bool`: whether what it finds in a ball depends on no smaller ball that it
tried before, and each ball is twice as large as the last. Then epsilon_init is found with fewer gradients.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

Forward = Callable[[Tensor], Tensor]
"""(n, channels, height, width) images in [0, 1] -> (n, classes) logits, in evaluation mode."""

Seeds = Sequence[int]


@dataclass(frozen=True)
class AdversarialSet:
    """Algorithm 1's result for n samples.

    image: (n, channels, height, width) float32 in [0, 1]. label: (n,) the wrong label that the model gives it.
    epsilon: (n,) final radius, on the doubling ladder. distance: (n,) l2 distance delta from the sample. passes: (n,)
    gradients computed. A sample for which the attack found nothing has its own label and the distance NaN.
    """

    image: Tensor
    label: Tensor
    epsilon: Tensor
    distance: Tensor
    passes: Tensor

    @classmethod
    def of(
        cls, images: Tensor, labels: Tensor, image: Tensor, label: Tensor, epsilon: Tensor, passes: Tensor
    ) -> "AdversarialSet":
        """What was found for `images` with the true `labels`."""
        distance = norms(image - images).flatten().masked_fill(label == labels, math.nan)
        return cls(image, label, epsilon, distance, passes)

    @classmethod
    def joined(cls, parts: Sequence["AdversarialSet"]) -> "AdversarialSet":
        """What was found for the samples of all parts, in order."""
        return cls(*(torch.cat([getattr(part, column.name) for part in parts]) for column in fields(cls)))

    def cpu(self) -> "AdversarialSet":
        """The same on the CPU."""
        return AdversarialSet(*(getattr(self, column.name).cpu() for column in fields(self)))

    @property
    def found(self) -> Tensor:
        """(n,) bool: whether the sample has an adversarial example."""
        return ~self.distance.isnan()


def norms(x: Tensor) -> Tensor:
    """(n, 1, 1, 1) l2 norm of each of n images."""
    return x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def log_odds_against(logits: Tensor, labels: Tensor) -> Tensor:
    """(n,) log((1 - p_y) / p_y) of (n, classes) logits.

    The cross entropy is log(1 + exp(this)), so its gradient is this one's times 1 - p_y: the same direction, which is
    all that a normalised step, or a sign, uses. But where a confident model's p_y rounds to 1 this gradient does not
    vanish.
    """
    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -math.inf)
    return others.logsumexp(dim=1) - true[:, 0]
