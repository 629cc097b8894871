"""CT: convolutions transposed, then fine-tuning (NeurIPS 2023 challenge, fifth; Cadet et al., 2024)."""

from dataclasses import replace

from torch import Tensor

from amun_steps.methods import Request, Update, flat

NEEDS = ("remain",)


def unlearn(request: Request) -> Update:
    """Each epoch: D_R, from theta_o with height and width of every convolution's kernel swapped.

    The learning rate follows the config's schedules, not a cosine.
    """

    def transposed(name: str, weight: Tensor) -> Tensor:
        return weight.transpose(2, 3) if weight.ndim == 4 and weight.shape[2] == weight.shape[3] else weight

    weights = flat(request.model, transposed)[None]
    return Update(lambda generator, epoch: [request.remain], start=replace(request.model, weights=weights))
