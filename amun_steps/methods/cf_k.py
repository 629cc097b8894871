"""CF-k: catastrophic forgetting of the last k layers (Goel et al., 2022)."""

from pydantic import PositiveInt

from amun_steps.methods import Request, Update, last_layers

NEEDS = ("remain",)


def unlearn(request: Request, *, k: PositiveInt = 1) -> Update:
    """Each epoch: D_R, where only the last k layers move."""
    return Update(lambda generator, epoch: [request.remain], mask=last_layers(request.model, k))
