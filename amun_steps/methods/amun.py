"""AMUN: fine-tuning on the closest adversarial examples of D_F with the labels the model gives them (section 4)."""

from amun_steps.methods import Request, Update

NEEDS = ("adversarial",)


def unlearn(request: Request, *, include_forget: bool) -> Update:
    """Each epoch: D_R + D_F + D_A; without D_F, the form for a large forget set, D_R + D_A."""
    data = request.remain + request.adversarial
    if include_forget:
        data += request.forget
    return Update(lambda generator, epoch: [data])
