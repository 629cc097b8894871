"""UNSIR: noise against D_F's labels impairs, D_R repairs (Tarun et al., 2023)."""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from amun_steps.methods import Request, Update
from amun_steps.store.plugins import Share
from amun_steps.training.device import at_once
from amun_steps.training.recipe import Samples

NEEDS = ("remain",)


def unlearn(
    request: Request,
    *,
    share: Share = 0.25,
    noise_steps: PositiveInt = 40,
    noise_rate: PositiveFloat = 0.1,
    noise_decay: NonNegativeFloat = 0.1,
) -> Update:
    """In the first epoch (impair) `share` of D_R, drawn once, and the noise, shuffled together; then each epoch
    (repair) D_R.

    The noise has an image for each sample of D_F, with its label, whose loss theta_o has the highest: `noise_steps` of
    Adam from a normal draw, with noise_decay ||image||^2 against its growth. The paper forgets whole classes, with a
    few images for each; the learning rate is the schedule's in both phases.
    """
    drawn = torch.randn(len(request.forget), *request.images.shape[1:])  # by the method's seed, whatever the device
    size = at_once(request.images)
    parts = zip(drawn.split(size), request.forget.label.split(size), strict=True)
    found = [_noise(request, *part, noise_steps, noise_rate, noise_decay) for part in parts]
    noise = Samples.of(request.add(torch.cat(found)), request.forget.label, augment=False)
    remain, impair = request.remain, request.part_of_remain(share) + noise
    return Update(lambda generator, epoch: [remain if epoch else impair])


def _noise(request: Request, start: Tensor, labels: Tensor, steps: int, rate: float, decay: float) -> Tensor:
    """Images from `start` on that theta_o has a high loss for with these labels."""
    noise, labels = start.to(request.images.device).requires_grad_(), labels.to(request.images.device)
    optimiser = torch.optim.Adam([noise], lr=rate)
    for _ in range(steps):
        loss = F.cross_entropy(request.logits(noise), labels, reduction="sum")
        (noise.grad,) = torch.autograd.grad(decay * noise.square().sum() - loss, noise)
        optimiser.step()
    return noise.detach()
