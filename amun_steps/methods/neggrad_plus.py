"""NegGrad+: descent on D_R and ascent on D_F in every step (Kurmanji et al., 2023, SCRUB's baseline)."""

from amun_steps.methods import Request, Update
from amun_steps.store.plugins import Share

NEEDS = ("remain",)


def unlearn(request: Request, *, alpha: Share = 0.95) -> Update:
    """Each step: alpha times the loss of a batch of D_R, less 1 - alpha times that of a batch of D_F.

    As in the authors' code D_F begins anew where it ends, and an epoch is one pass over D_R; where D_F is the larger
    set, over D_F. Both batches go through the network as one, so that batch normalisation sees both; theirs are two
    passes. Their notebook's pull of the weights towards theta_o is left out, as in the equation.
    """
    return Update(lambda generator, epoch: [(alpha * request.remain, (alpha - 1) * request.forget)])
