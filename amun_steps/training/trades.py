"""TRADES, adversarial training (Zhang et al., 2019; paper, section 6.2.2 and Appendix F.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from amun_steps.training.fit import Network, cross_entropy

START = 0.001
"""Standard deviation of the noise that the inner maximisation starts from: at the image itself its gradient is zero."""


@dataclass(frozen=True)
class Trades:
    """An objective of `fit`: cross entropy + beta * max over |x' - x| <= epsilon of KL(f(x) || f(x')).

    The inner maximum is by `steps` steps of length `step_size` along the gradient's sign, in the l-infinity ball of
    radius `epsilon` and in [0, 1], with the network in evaluation mode, as in the authors' implementation. AMUN's paper
    names the loss only; beta, the ball and the steps are the config's.
    """

    beta: float
    epsilon: float
    steps: int
    step_size: float

    def __call__(self, network: Network, images: Tensor, labels: Tensor, generators: Sequence[Generator]) -> Tensor:
        """(models, batch) loss of (models, batch, channels, height, width) images and (models, batch) labels."""
        noise = torch.stack([torch.randn(images.shape[1:], generator=generator) for generator in generators])
        near = images + START * noise.to(images.device, non_blocking=True)
        target = network(images, train=False).softmax(dim=-1)
        for _ in range(self.steps):
            near.requires_grad_()
            (ascent,) = torch.autograd.grad(_divergence(network(near, train=False), target).sum(), near)
            moved = near.detach() + self.step_size * ascent.sign()
            near = (images + (moved - images).clamp(-self.epsilon, self.epsilon)).clamp(0, 1)
        natural = network(images)
        robust = _divergence(network(near), natural.softmax(dim=-1))
        return cross_entropy(natural, labels) + self.beta * robust


def _divergence(logits: Tensor, target: Tensor) -> Tensor:
    """(models, batch) KL(target || softmax(logits)) of (models, batch, classes)."""
    return F.kl_div(logits.log_softmax(dim=-1), target, reduction="none").sum(dim=-1)
