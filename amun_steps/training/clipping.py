"""Spectral clipping: each convolution and dense layer gets a spectral norm of at most a bound, as a linear operator.

The norm is that of the layer as it acts on its inputs, stride and padding included, by power iteration through the
layer and its transpose; a kernel reshaped into a matrix has another one (Boroojeny, Telgarsky & Sundaram, 'Spectrum
extraction and clipping for implicitly linear layers', AISTATS 2024).

A clip is a step on the weights down the gradient of |M v - bound u|^2, where M v = sigma u is the top singular pair,
just long enough for <u, M v> = bound: the nearest weights for which that holds, as M is linear in them. All weights
whose norm is at most the bound are on the near side of this plane, so a step only comes closer to each of them, even
where v has not converged. A dense layer loses exactly (sigma - bound) u v^T; a convolution has fewer weights than
singular values, so that others move along.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vjp, vmap

from amun_steps.training.stack import Stack

TOLERANCE = 1e-2
ITERATIONS, ROUNDS = 5, 4  # of power iteration before a step, and of these in one call of `clip`
BLOCK = 16  # vectors by which a norm is found
LIMIT = 10_000  # rounds until `finish` gives up

Layer = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Clipping:
    """How a training clips: to `bound`, at every `every`-th step of a model and when it is trained.

    least: two-sided, as the paper's public code is: a convolution whose norm is below this share of `bound` is brought
    up to it; dense layers are clipped from above alone. None: from above alone.
    """

    bound: float
    every: int
    least: float | None = None


class Clipper:
    """Keeps the spectral norms of a stack's layers where `clipping` says.

    state: name of a layer's weight -> (models, *input) unit vectors, where the next power iteration goes on.
    """

    def __init__(self, stack: Stack, clipping: Clipping):
        self.stack, self.bound = stack, clipping.bound
        self._least = clipping.bound * (clipping.least or 0.0)
        self._layers, self._start = _layers(stack)
        self.state = {name: start.expand(stack.size, *start.shape).clone() for name, start in self._start.items()}

    @torch.no_grad()
    def clip(self, models: Sequence[int] | slice) -> None:
        """A few steps on each layer of `models`, in place; where the norm is within its limits, no bit changes."""
        rows = models if isinstance(models, slice) else torch.as_tensor(models, device=self.stack.weights.device)
        weights = self.stack.parameters(self.stack.weights)
        for name in self._layers:
            self._steps(name, weights[name], rows)

    @torch.no_grad()
    def finish(self) -> None:
        """Clips until every norm of every model is at most bound * (1 + TOLERANCE), as `spectral_norms` measures it.

        A convolution's is then not below what `Clipping.least` says. A diverged model keeps its NaN.

        Raises RuntimeError with the layer that takes more than LIMIT rounds.
        """
        weights = self.stack.parameters(self.stack.weights)
        for name, layer in self._layers.items():
            rows = torch.arange(self.stack.size, device=self.stack.weights.device)
            within = self.bound * (1 + TOLERANCE)
            for _ in range(0, LIMIT, ROUNDS):
                # the norm itself is dear: it is asked for only where the steps find nothing any more
                largest, low = self._steps(name, weights[name], rows)
                still = rows[(largest > within) | low]
                idle = rows[~torch.isin(rows, still)]
                if len(idle):
                    idle = idle[_norms(layer, weights[name][idle], self._start[name], 1e-4, within) > within]
                rows = torch.cat([still, idle]).sort().values  # a model does not wait for others: same as alone
                if not len(rows):
                    break
            else:
                raise RuntimeError(f"{name}: spectral norm above {within:.3g} after {LIMIT} rounds of clipping")

    def _steps(self, name: str, weights: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """ROUNDS steps on one layer; the (rows,) largest |M v| that they met, and whether the last one was too low."""
        layer, weight, vectors = self._layers[name], weights[rows], self.state[name][rows]
        least = self._least if weight[0].dim() == 4 else 0.0  # convolutions
        vectors = _settled(layer, weight, vectors, least)
        largest = weight.new_zeros(len(weight))
        for _ in range(ROUNDS):
            for _ in range(ITERATIONS):
                _, vectors = _iterate(layer, weight, vectors)
            weight, norms = _step(layer, weight, vectors, self.bound, least)
            largest, clipped = torch.maximum(largest, norms), norms > self.bound
            # a clipped direction can stay what its own power iteration finds: the start vector lets others in
            vectors = torch.where(_like(clipped, vectors), _unit(vectors + self._start[name]), vectors)
        weights[rows], self.state[name][rows] = weight, vectors
        return largest, _low(norms, least)


@torch.no_grad()
def spectral_norms(stack: Stack) -> dict[str, Tensor]:
    """The (models,) spectral norms of each convolution and dense layer, by the name of its weight."""
    layers, start = _layers(stack)
    weights = stack.parameters(stack.weights)
    return {name: _norms(layer, weights[name], start[name]) for name, layer in layers.items()}


def _norms(layer: Layer, weight: Tensor, start: Tensor, least: float = 1e-5, enough: float = math.inf) -> Tensor:
    """(models,) norms, from below: each until ten more iterations add less than `least` of it, or it is `enough`.

    Clipping leaves many singular values at the bound, where a single vector seems to have converged long before it
    has; so it is the largest singular value of the layer on the span of a block of vectors.
    """
    count = min(BLOCK, start.numel())
    others = torch.randn(count - 1, *start.shape, generator=Generator().manual_seed(1)).to(start)
    vectors = torch.cat([start[None], others]).expand(len(weight), count, *start.shape)
    on_block = vmap(layer, in_dims=(None, 1), out_dims=1)
    norms, growing = weight.new_zeros(len(weight)), torch.tensor(True)
    while growing.any():
        for _ in range(10):
            vectors = torch.linalg.qr(vectors.flatten(2).mT).Q.mT.reshape(vectors.shape)
            outputs, transpose = vjp(lambda x: on_block(weight, x), vectors)
            (vectors,) = transpose(outputs)
        outputs = outputs.flatten(2)
        gram = (outputs @ outputs.mT).nan_to_num()  # svd and eigvalsh refuse NaN
        longer = torch.linalg.eigvalsh(gram).amax(dim=1).sqrt()
        longer = torch.where(outputs.isfinite().flatten(1).all(dim=1), longer, torch.nan)
        growing = growing & (longer > norms * (1 + least)) & (norms <= enough)
        norms = torch.where(growing | longer.isnan(), longer, norms)
    return norms


def _iterate(layer: Layer, weight: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(models,) lengths |M v| of each layer M at its unit vector v, and the next vectors: M^T M v, of length 1."""
    outputs, transpose = vjp(lambda x: layer(weight, x), vectors)
    return outputs.flatten(1).norm(dim=1), _unit(transpose(outputs)[0])


def _step(layer: Layer, weight: Tensor, vectors: Tensor, bound: float, least: float) -> tuple[Tensor, Tensor]:
    """Weights with <u, M v> = bound, where u is M v of length 1, but as they were where |M v| is from `least` to bound;
    and (models,) |M v|."""
    outputs, to_weight = vjp(lambda w: layer(w, vectors), weight)
    (gradient,) = to_weight(_unit(outputs))  # of <u, M v>
    norms = outputs.flatten(1).norm(dim=1)
    length = (norms - bound) / gradient.flatten(1).square().sum(dim=1)
    moved = _like((norms > bound) | _low(norms, least), weight)
    return torch.where(moved, weight - _like(length, weight) * gradient, weight), norms


def _settled(layer: Layer, weight: Tensor, vectors: Tensor, least: float) -> Tensor:
    """Vectors of which |M v| is at least `least`, or has come so near to the norm that this is below it, too."""
    norms = weight.new_zeros(len(weight))
    growing = torch.full_like(norms, least > 0, dtype=torch.bool)
    while growing.any():
        before, moved = norms, vectors
        for _ in range(10):
            norms, moved = _iterate(layer, weight, moved)
        vectors = torch.where(_like(growing, vectors), moved, vectors)
        growing = growing & (norms < least) & (norms > before * (1 + 1e-4))
    return vectors


def _low(norms: Tensor, least: float) -> Tensor:
    """(models,) bool: whether a norm is below `least`; a layer of zeros has no direction to be raised in."""
    return (norms < least) & (norms > 0)


def _like(values: Tensor, other: Tensor) -> Tensor:
    """(models,) values, to be combined with (models, ...) others."""
    return values.view(-1, *[1] * (other.ndim - 1))


def _unit(vectors: Tensor) -> Tensor:
    return nn.functional.normalize(vectors.flatten(1)).view_as(vectors)


def _layers(stack: Stack) -> tuple[dict[str, Layer], dict[str, Tensor]]:
    """By the name of their weight: the layers without bias, (weight (models, ...), inputs (models, ...)) -> outputs,
    and the vectors where power iteration starts."""
    layers, shapes, hooks = {}, {}, []
    for path, module in stack.module.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            name = f"{path}.weight".removeprefix(".")
            layers[name] = _without_bias(module)
            hook = module.register_forward_pre_hook(lambda _, x, name=name: shapes.update({name: x[0].shape[1:]}))
            hooks.append(hook)
    stack.module.eval()(torch.empty(1, *stack.network["shape"], device="meta"))
    for hook in hooks:
        hook.remove()
    generator = Generator().manual_seed(0)
    start = {name: _unit(torch.randn(1, *shapes[name], generator=generator))[0] for name in layers}
    return layers, {name: vector.to(stack.weights) for name, vector in start.items()}


def _without_bias(module: nn.Module) -> Layer:
    linear = copy.deepcopy(module)
    linear.bias = None
    return vmap(lambda weight, x: functional_call(linear, {"weight": weight}, (x[None],))[0])
