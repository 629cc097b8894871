"""Projected gradient descent in the l2 ball (Madry et al., 2018), stopped at the first misclassified iterate."""

import torch
from torch import Tensor

from amun_steps.attacks import Attempt, Forward, norms


def attack(
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


def log_odds_against(logits: Tensor, labels: Tensor) -> Tensor:
    """(n,) log((1 - p_y) / p_y) of (n, classes) logits.

    The cross entropy is log(1 + exp(this)), so its gradient is this one's times 1 - p_y: the same direction, which is
    all that a normalised step uses. But where a confident model's p_y rounds to 1 this gradient does not vanish.
    """
    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(dim=1) - true[:, 0]
