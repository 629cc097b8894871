"""l1-sparse: fine-tuning on D_R with a decreasing l1 penalty (Liu et al., 2024)."""

from pydantic import NonNegativeFloat

from amun_steps.methods import Request, Update

NEEDS = ("remain",)


def unlearn(request: Request, *, alpha: NonNegativeFloat = 5e-4) -> Update:
    """Each epoch t of T: D_R, with alpha_t ||theta||_1 added to the loss, alpha_t = (2 - 2t/T) alpha.

    The schedule is linear, as in the l1-sparse paper; the AMUN paper's code multiplies it up over the epochs.
    """
    return Update(
        lambda generator, epoch: [request.remain],
        penalty=lambda weights, progress: (2 - 2 * progress) * alpha * weights.abs().sum(),
    )
