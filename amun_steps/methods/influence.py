"""Influence unlearning: a Newton step away from D_F (Izzo et al., 2021), with a Fisher matrix for the Hessian as
WoodFisher has it (Singh & Alistarh, 2020)."""

from collections.abc import Callable
from dataclasses import replace

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.func import jvp, vjp, vmap

from amun_steps.methods import Request, Update
from amun_steps.training.recipe import Samples

NEEDS = ("remain",)
ONE_SHOT = True

ACCURACY = 1e-5
"""Of the linear system: the norm of what is left, as a share of the right side's."""


def unlearn(request: Request, *, alpha: PositiveFloat = 1.0, samples: PositiveInt = 1000) -> Update:
    """theta_o + alpha (I + F)^-1 v with v = (sum of D_F's gradients - |D_F| mean of D_R's) / |D|, where F is the
    empirical Fisher matrix of `samples` random samples of D_R, the mean of g g^T over their gradients g.

    SalUn's public code has WoodFisher's recursion for this inverse, with only the first sample's direction in it; here
    the system is solved, by conjugate gradients.
    """
    data, forget = len(request.remain) + len(request.forget), len(request.forget)
    mean = request.gradient(request.remain) / len(request.remain)
    v = (request.gradient(request.forget) - forget * mean) / data
    rows = torch.randperm(len(request.remain))[:samples]
    change = solve(lambda x: x + fisher_times(request, request.remain[rows], x), v)
    return Update(start=replace(request.model, weights=request.model.weights + alpha * change))


def fisher_times(request: Request, samples: Samples, vector: Tensor) -> Tensor:
    """(parameters,) empirical Fisher matrix of samples at theta_o, in evaluation mode, times a vector, without either
    the matrix or a gradient of each sample in memory."""
    total = torch.zeros_like(vector)
    for images, labels in request.batches(samples):

        def losses(weights: Tensor, images=images, labels=labels) -> Tensor:
            return vmap(request.loss_of_one, in_dims=(None, 0, 0))(weights, images, labels)

        _, along = jvp(losses, (request.model.weights[0],), (vector,))  # each gradient times the vector
        _, back = vjp(losses, request.model.weights[0])
        total += back(along)[0]
    return total / len(samples)


def solve(times: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """x with A x = `right`, for a symmetric positive definite A as the function `times`: conjugate gradients."""
    x, left = torch.zeros_like(right), right.clone()
    direction, norm = left, left @ left
    for _ in range(len(right)):
        if not norm > ACCURACY**2 * (right @ right):  # or no number, of an original that diverged
            break
        turned = times(direction)
        step = norm / (direction @ turned)
        x, left = x + step * direction, left - step * turned
        before, norm = norm, left @ left
        direction = left + norm / before * direction
    return x
