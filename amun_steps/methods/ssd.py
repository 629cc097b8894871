"""SSD: selective synaptic dampening, of the weights that matter more to D_F than to D (Foster et al., 2024)."""

from dataclasses import replace

import torch
from pydantic import NonNegativeFloat, PositiveFloat

from amun_steps.methods import Request, Update

NEEDS = ("remain",)
ONE_SHOT = True


def unlearn(request: Request, *, alpha: PositiveFloat = 10.0, dampening: NonNegativeFloat = 1.0) -> Update:
    """A weight whose importance to D_F is more than alpha times that to D is multiplied by
    min(dampening * importance to D / importance to D_F, 1); dampening is the paper's lambda.

    Importance is the diagonal of the Fisher information, of each sample's gradient as in the paper's equation; its code
    takes the squares of whole batches' gradients.
    """
    to_forget, to_all = request.fisher(request.forget), request.fisher(request.remain + request.forget)
    factor = (dampening * to_all / to_forget.clamp_min(torch.finfo(to_forget.dtype).tiny)).clamp_max(1)
    weights = request.model.weights * torch.where(to_forget > alpha * to_all, factor, 1.0)
    return Update(start=replace(request.model, weights=weights))
