"""SalUn: random labels on the salient weights only (Fan et al., 2024)."""

from dataclasses import replace

import torch
from torch import Tensor

from amun_steps.methods import Request, Update, rl

NEEDS = ()


def unlearn(request: Request, *, mask_ratio: float) -> Update:
    """RL, where only the weights of the saliency mask move."""
    return replace(rl.unlearn(request), mask=saliency_mask(request, mask_ratio))


def saliency_mask(request: Request, ratio: float, batch: int | None = None) -> Tensor:
    """(parameters,) bool: True for the share `ratio` of all weights whose gradient of the loss, summed over D_F at
    theta_o in evaluation mode, is largest in magnitude (paper, Appendix D)."""
    salience = request.gradient(request.forget, batch).abs()
    mask = torch.zeros_like(salience, dtype=torch.bool)
    mask[salience.topk(round(ratio * len(salience))).indices] = True
    return mask
