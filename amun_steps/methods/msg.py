"""MSG: the weights with the least gradient are set anew (NeurIPS 2023 challenge, second; Cadet et al., 2024)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from amun_steps.methods import Request, Update, flat
from amun_steps.store.plugins import Share

NEEDS = ("remain",)

SLOW = 0.1
"""How much of a step the other weights of a convolution take."""


def unlearn(request: Request, *, share: Share = 0.3) -> Update:
    """Each epoch: D_R, from theta_o with the `share` of each convolution's weights set anew (He et al., 2015) whose
    gradient of the loss on as many samples of D_R as D_F has, less that on D_F, is least in magnitude.

    The others of the convolutions take a tenth of every step. In the public code it is a tenth of the gradient, so
    that weight decay acts in full, and the learning rate goes up and down linearly, not by the config's schedules.
    """
    alike = request.part_of_remain(min(1.0, len(request.forget) / len(request.remain)))
    salience = (request.gradient(alike) / len(alike) - request.gradient(request.forget) / len(request.forget)).abs()
    named = {name: part[0] for name, part in request.model.parameters(salience[None]).items()}

    def least(name: str, weight: Tensor) -> Tensor:
        chosen = torch.zeros_like(weight, dtype=torch.bool)
        if weight.ndim == 4:
            count = round(share * weight.numel())
            chosen.view(-1)[named[name].flatten().topk(count, largest=False).indices] = True
        return chosen

    def anew(name: str, weight: Tensor) -> Tensor:
        drawn = torch.empty_like(weight, device="cpu")  # by the method's seed, whatever the device
        return nn.init.kaiming_normal_(drawn, mode="fan_out", nonlinearity="relu") if weight.ndim == 4 else weight

    chosen = flat(request.model, least)
    fresh = flat(request.model, lambda name, weight: anew(name, weight).to(weight.device))
    pace = flat(request.model, lambda name, weight: torch.full_like(weight, SLOW if weight.ndim == 4 else 1.0))
    return Update(
        lambda generator, epoch: [request.remain],
        mask=torch.where(chosen, 1.0, pace),
        start=replace(request.model, weights=torch.where(chosen, fresh, request.model.weights)),
    )
