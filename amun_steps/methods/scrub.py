"""SCRUB: away from theta_o on D_F, close to it on D_R (Kurmanji et al., 2023)."""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from amun_steps.methods import Request, Update, imitation

NEEDS = ("remain",)


def unlearn(
    request: Request,
    *,
    ascent_epochs: PositiveInt = 3,
    gamma: NonNegativeFloat = 1.0,
    alpha: NonNegativeFloat = 0.5,
    temperature: PositiveFloat = 2.0,
) -> Update:
    """Each epoch: in the first `ascent_epochs` a pass over D_F that maximises the divergence from theta_o; then one
    over D_R that minimises gamma times the cross entropy plus alpha times that divergence.

    The divergence is KL(theta_o || model) at a temperature, as in the authors' code, times its square. Their D_F has a
    batch size of its own, here the recipe's.
    """
    divergence = imitation(lambda images, labels: request.logits(images), temperature)

    def loss(logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        return gamma * F.cross_entropy(logits, labels, reduction="none") + alpha * divergence(logits, images, labels)

    ascent, descent = -request.forget.with_loss(divergence), request.remain.with_loss(loss)
    return Update(lambda generator, epoch: [ascent, descent] if epoch < ascent_epochs else [descent])
