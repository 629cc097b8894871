"""FT: fine-tuning on D_R (Warnecke et al., 2021)."""

from amun_steps.methods import Request, Update

NEEDS = ("remain",)


def unlearn(request: Request) -> Update:
    """Each epoch: D_R."""
    return Update(lambda generator, epoch: [request.remain])
