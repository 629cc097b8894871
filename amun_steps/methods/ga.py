"""GA: gradient ascent on D_F (Thudi et al., 2022)."""

from amun_steps.methods import Request, Update

NEEDS = ()


def unlearn(request: Request) -> Update:
    """Each epoch: one pass over D_R, then one over D_F with the loss negated."""
    return Update(lambda generator, epoch: [request.remain, -request.forget])
