"""BS: boundary shrink (Chen et al., 2023b), D_F with the label of the nearest class as one step of FGSM finds it."""

import torch
from pydantic import PositiveFloat

from amun_steps.attacks.pgd import log_odds_against
from amun_steps.methods import Request, Update

NEEDS = ()


def unlearn(request: Request, *, bound: PositiveFloat = 0.1) -> Update:
    """Each epoch: one pass over D_R, then one over D_F with theta_o's label at x + bound * sign(gradient).

    The perturbed image is clamped to [0, 1] and rounded to 1/255, as the paper's code does.
    """
    found = []
    for images, label in request.batches(request.forget):
        x = images.requires_grad_()
        # the sign of this gradient is that of the cross entropy's
        (gradient,) = torch.autograd.grad(log_odds_against(request.logits(x), label).sum(), x)
        moved = (x.detach() + bound * gradient.sign()).clamp(0, 1)
        found.append(request.logits((moved * 255).round() / 255).argmax(dim=1).cpu())
    nearest = torch.cat(found)
    return Update(lambda generator, epoch: [request.remain, request.forget.with_labels(nearest)])
