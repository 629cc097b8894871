"""Algorithm 1 with projected gradient descent in the l2 ball (Madry et al., 2018): the paper's PGD-50 (section 4)."""

import math
from dataclasses import dataclass

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from amun_steps.attacks import AdversarialSet, Forward, Seeds, log_odds_against, norms


def attack(
    forward: Forward,
    images: Tensor,
    labels: Tensor,
    epsilon_init: float,
    seeds: Seeds,
    *,
    steps: PositiveInt,
    relative_step: PositiveFloat,
    restart: bool = True,
) -> AdversarialSet:
    """Attack all samples at once, double the radius of those without a result, attack them again. Nothing is random.

    With `restart` the attack starts from the sample itself in every ball, as the paper's line 7 reads; without, it goes
    on from its last iterate, as the paper's public code does. Both meet the definition; where epsilon_init is small, so
    that there are several balls, going on finds nearer examples (docs/differences.md has the numbers). A sample that is
    still classified right when the ball has outgrown [0, 1]^d is given up.
    """
    epsilon = torch.full(labels.shape, epsilon_init, dtype=images.dtype, device=images.device)
    image, label, passes = images.clone(), labels.clone(), torch.zeros_like(labels)
    active = torch.arange(len(images), device=images.device)
    farthest = math.sqrt(math.prod(images.shape[1:]))
    while len(active):
        start = images[active] if restart else image[active]
        tried = in_ball(
            forward, images[active], labels[active], epsilon[active], start, steps=steps, relative_step=relative_step
        )
        image[active], label[active] = tried.image, tried.label
        passes[active] += tried.passes
        active = active[~tried.found]
        active = active[epsilon[active] <= farthest]
        epsilon[active] *= 2
    return AdversarialSet.of(images, labels, image, label, epsilon, passes)


def begins_anew(*, restart: bool = True, **_: object) -> bool:
    """Whether what is found in a ball depends on no smaller ball."""
    return restart


@dataclass(frozen=True)
class Attempt:
    """What one run of PGD found for n samples.

    image: (n, channels, height, width), the adversarial example where `found`, else the last iterate. label: (n,) the
    model's prediction there. found: (n,) bool. passes: (n,) gradients that were computed for the sample.
    """

    image: Tensor
    label: Tensor
    found: Tensor
    passes: Tensor


def in_ball(
    forward: Forward,
    images: Tensor,
    labels: Tensor,
    epsilon: Tensor,
    start: Tensor,
    *,
    steps: int,
    relative_step: float,
) -> Attempt:
    """Up to `steps` steps of length `relative_step` * epsilon from `start`, without a random one.

    Each step ascends the gradient of the cross entropy of the true label, divided by its own l2 norm, projects onto the
    ball of radius `epsilon` (n,) around the image and clamps to [0, 1]. A sample leaves the active set at its first
    misclassified iterate; `start` counts as iterate 0.
    """
    epsilon = epsilon.view(-1, 1, 1, 1)
    out = Attempt(
        image=start.clone(),
        label=labels.clone(),
        found=torch.zeros_like(labels, dtype=torch.bool),
        passes=torch.zeros_like(labels),
    )
    active = torch.arange(len(images), device=images.device)
    current = start
    for iteration in range(steps + 1):
        current = current.detach().requires_grad_(iteration < steps)
        logits = forward(current)
        predicted = logits.detach().argmax(dim=1)
        wrong = predicted != labels[active]
        out.image[active], out.label[active], out.found[active] = current.detach(), predicted, wrong
        right = ~wrong
        if iteration == steps or not right.any():
            break
        margin = log_odds_against(logits[right], labels[active[right]]).sum()
        gradient = torch.autograd.grad(margin, current)[0][right]
        active, centre = active[right], images[active[right]]
        out.passes[active] += 1
        moved = current.detach()[right] + relative_step * epsilon[active] * gradient / (norms(gradient) + 1e-10)
        offset = moved - centre
        offset = offset * (epsilon[active] / norms(offset).clamp_min(1e-12)).clamp_max(1)
        current = (centre + offset).clamp(0, 1)
    return out
