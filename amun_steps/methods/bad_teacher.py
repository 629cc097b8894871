"""Bad teacher: D_F as an untrained network sees it, D_R as theta_o does (Chundawat et al., 2023a)."""

from pydantic import PositiveFloat

from amun_steps.methods import Request, Update, imitation
from amun_steps.store.plugins import Share

NEEDS = ("remain",)


def unlearn(request: Request, *, share: Share = 0.3, temperature: PositiveFloat = 1.0) -> Update:
    """Each epoch: D_F with the outputs of an untrained network of the same kind and `share` of D_R, drawn once, with
    those of theta_o, shuffled together, by KL(teacher || model) at a temperature.

    The authors' code means the divergence over the classes too, a factor that their optimiser, Adam, does not feel; SGD
    does, so here it is summed over them, as in the equation.
    """
    stranger = request.untrained()
    good = imitation(lambda images, labels: request.logits(images), temperature)
    bad = imitation(lambda images, labels: stranger.logits(images[None])[0], temperature)
    data = request.part_of_remain(share).with_loss(good) + request.forget.with_loss(bad)
    return Update(lambda generator, epoch: [data])
