"""RL: random labels (Golatkar et al., 2020)."""

from amun_steps.methods import Request, Update, wrong_labels

NEEDS = ()


def unlearn(request: Request) -> Update:
    """Each epoch: D_R + D_F with uniformly random wrong labels, drawn anew, shuffled together."""
    forget = request.forget
    return Update(
        lambda generator, epoch: [
            request.remain + forget.with_labels(wrong_labels(forget.label, request.classes, generator))
        ]
    )
