"""DELETE: D_F as theta_o sees it without the true class (Zhou et al., 2025)."""

import math

from torch import Tensor

from amun_steps.methods import Request, Update, imitation

NEEDS = ()


def unlearn(request: Request) -> Update:
    """Each epoch: one pass over D_R, if there is access to it, then one over D_F by KL(q || model), where q are the
    probabilities of theta_o with the true class taken out.

    The paper's method does without D_R; the pass over it is what GA and BS have here too.
    """

    def others(images: Tensor, labels: Tensor) -> Tensor:
        return request.logits(images).scatter(1, labels[:, None], -math.inf)

    forget = request.forget.with_loss(imitation(others))
    return Update(lambda generator, epoch: [request.remain, forget])
