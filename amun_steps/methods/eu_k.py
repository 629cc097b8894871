"""EU-k: exact unlearning of the last k layers, which are trained anew (Goel et al., 2022)."""

from dataclasses import replace

import torch
from pydantic import PositiveInt

from amun_steps.methods import Request, Update, cf_k

NEEDS = ("remain",)


def unlearn(request: Request, *, k: PositiveInt = 1) -> Update:
    """CF-k from freshly initialised last k layers. Running statistics of normalisation stay theta_o's at first, as in
    the public code, and follow D_R."""
    update = cf_k.unlearn(request, k=k)
    weights = torch.where(update.mask, request.untrained().weights, request.model.weights)
    return replace(update, start=replace(request.model, weights=weights))
