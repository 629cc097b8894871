"""Algorithm 1 with a variant of FFGSM (Wong et al., 2020), the weak and fast attack of Appendix F.5."""

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from amun_steps.attacks import AdversarialSet, Forward, Seeds, log_odds_against

MOST_RESTARTS = 30


def attack(
    forward: Forward,
    images: Tensor,
    labels: Tensor,
    epsilon_init: float,
    seeds: Seeds,
    *,
    rounds: PositiveInt,
    noise: NonNegativeFloat,
) -> AdversarialSet:
    """One gradient sign at the sample, followed to x + epsilon sign with epsilon doubled in each of `rounds` rounds.

    A sample without a result goes back to epsilon_init and takes a new sign, at x + U(-noise, noise), from where it
    moves; and so on. Everything is clamped to [0, 1]; epsilon is in the l-infinity norm, that of the sign. F.5 leaves
    open how many rounds are 'a few' and how small a 'small random perturbation' is: both are the config's; and whether
    it grows: it doubles with every restart, as epsilon does, since around some samples the sign hardly changes. After
    MOST_RESTARTS a sample without a result is given up.
    """
    epsilon = torch.full(labels.shape, epsilon_init, dtype=images.dtype, device=images.device)
    image, passes = images.clone(), torch.zeros_like(labels)
    with torch.no_grad():
        label = forward(images).argmax(dim=1)
    active = (label == labels).nonzero()[:, 0]
    for restart in range(MOST_RESTARTS + 1):
        start = images[active]
        if restart:
            start = (start + _perturbation(start, [seeds[n] for n in active.tolist()], restart, noise)).clamp(0, 1)
        sign = _sign(forward, start, labels[active])
        passes[active] += 1
        for k in range(rounds):
            epsilon[active] = epsilon_init * 2**k
            with torch.no_grad():
                moved = (start + epsilon_init * 2**k * sign).clamp(0, 1)
                predicted = forward(moved).argmax(dim=1)
            wrong = predicted != labels[active]
            image[active[wrong]], label[active[wrong]] = moved[wrong], predicted[wrong]
            active, start, sign = active[~wrong], start[~wrong], sign[~wrong]
        if not len(active):
            break
    return AdversarialSet.of(images, labels, image, label, epsilon, passes)


def _sign(forward: Forward, images: Tensor, labels: Tensor) -> Tensor:
    """The sign of the cross entropy's gradient at each of n images."""
    images = images.detach().requires_grad_()
    return torch.autograd.grad(log_odds_against(forward(images), labels).sum(), images)[0].sign()


def _perturbation(images: Tensor, seeds: Seeds, restart: int, noise: float) -> Tensor:
    """Uniform noise for each of n images, by its own seed; in [-noise, noise] first, twice as wide each time."""
    noise = min(1.0, noise * 2 ** (restart - 1))
    drawn = [np.random.default_rng([seed, restart]).uniform(-noise, noise, images.shape[1:]) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).to(images)
