"""Fisher forgetting: noise on the weights that D_R says little of (Golatkar et al., 2020)."""

from dataclasses import replace

import torch
from pydantic import PositiveFloat

from amun_steps.methods import Request, Update, last_layers

NEEDS = ("remain",)
ONE_SHOT = True

MOST = 1e-3
"""The largest standard deviation of the noise."""


def unlearn(request: Request, *, alpha: PositiveFloat = 1e-6) -> Update:
    """theta_o + n, where n is normal with the standard deviation min(sqrt(alpha / F), 0.001), ten times that in the
    last layer; F is the diagonal of the Fisher information on D_R.

    These are the rules of SalUn's public code, which the field compares with; the paper has the fourth root, and in
    that code 'the last layer' is the bias of the last one alone, by the shape of its tensor.
    """
    deviation = (alpha / request.fisher(request.remain)).sqrt().clamp_max(MOST)
    deviation = torch.where(last_layers(request.model, 1), 10 * deviation, deviation)
    noise = torch.randn(deviation.shape).to(deviation)  # by the method's seed, whatever the device
    return Update(start=replace(request.model, weights=request.model.weights + noise * deviation))
