"""What jobs cost on a named GPU, without one: the operations and bytes of one image, and what a GPU can do at most."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from amun_steps.attacks import log_odds_against
from amun_steps.plan.messages import ConfigError, names
from amun_steps.store.addresses import canonical
from amun_steps.training import stack as stacks
from amun_steps.training.fit import cross_entropy, sgd_step

TERA = 1e12
BATCH = 128
"""Images that are counted together where a recipe does not say how many: weights are read once a batch."""


@dataclass(frozen=True)
class GPU:
    """A GPU by its data sheet: what torch's name of it contains; floating-point operations a second of dense matrix
    products by precision, without sparsity, where float32's convolutions are TF32 if the GPU has it; bytes a second
    from its memory."""

    device: str
    bfloat16: float
    float32: float
    bandwidth: float


GPUS = {
    "h200": GPU("H200", 989 * TERA, 494 * TERA, 4.8 * TERA),
    "h100": GPU("H100", 989 * TERA, 494 * TERA, 3.35 * TERA),
    "a100": GPU("A100", 312 * TERA, 156 * TERA, 2.04 * TERA),
    "l40s": GPU("L40S", 362 * TERA, 183 * TERA, 0.86 * TERA),
    "a10": GPU("A10", 125 * TERA, 62 * TERA, 0.6 * TERA),
    "rtx4090": GPU("RTX 4090", 165 * TERA, 83 * TERA, 1.01 * TERA),
    "v100": GPU("V100", 125 * TERA, 15.7 * TERA, 0.9 * TERA),
    "t4": GPU("T4", 65 * TERA, 8.1 * TERA, 0.32 * TERA),
}
"""V100 and T4 have no bfloat16: their rates for it are float16's."""

LAUNCH = 5e-6
"""Seconds that a kernel takes at least, since it has to be started; all models of a stack start together."""

SHARE = 0.4
"""Of what a GPU can do at most, what is taken to be reached where no receipt says what was."""


def known_gpu(name: str) -> GPU:
    """A GPU by the name that the command line has for it. Raises ConfigError for one that is not known."""
    if name not in GPUS:
        raise ConfigError(f"--gpu: found {name!r}, expected one of {names(name, GPUS)}")
    return GPUS[name]


@dataclass(frozen=True)
class Operation:
    """One kernel: floating-point operations, and bytes that are read and written in float32."""

    flops: int
    bytes: int


class _Counter(TorchDispatchMode):
    """The kernels of what is computed inside, on tensors without storage as well."""

    def __init__(self):
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        out = operation(*arguments, **(options or {}))
        if not operation.is_view:
            count = flop_registry.get(operation.overloadpacket)
            flops = count(*arguments, **(options or {}), out_val=out) if count else 0
            tensors = [t for t in torch.utils._pytree.tree_leaves((arguments, options, out)) if isinstance(t, Tensor)]
            self.found.append(Operation(flops, sum(t.numel() * t.element_size() for t in tensors)))
        return out


def seconds_at_most(gpu: GPU, what: str, context: str) -> float | None:
    """The least seconds that a GPU needs for an image and a model of what is counted as `what`: of each kernel, the
    longest of its operations, its bytes and its start. None for what the CPU beside it computes, such as scores."""
    return _least(what, context, gpu) if what in COUNTED else None


def bytes_moved(what: str, context: str) -> float:
    """The bytes that an image and a model of what is counted as `what` reads from and writes to the GPU's memory."""
    if what not in COUNTED:
        return 0.0
    operations, batch, half = _operations(what, context)
    return sum(operation.bytes for operation in operations) * (0.5 if half else 1.0) / batch


@functools.cache
def _least(what: str, context: str, gpu: GPU) -> float:
    operations, batch, half = _operations(what, context)
    models = json.loads(context).get("models") or 1
    peak, size = (gpu.bfloat16, 0.5) if half else (gpu.float32, 1.0)
    each = [max(models * o.flops / peak, models * size * o.bytes / gpu.bandwidth, LAUNCH) for o in operations]
    return sum(each) / batch / models


def _operations(what: str, context: str) -> tuple[list[Operation], int, bool]:
    """The kernels of a batch, its images, and whether they compute in bfloat16."""
    known = json.loads(context)
    recipe = known.get("recipe") or {}
    half = what == "train" and recipe.get("precision") == "bfloat16"
    batch = recipe.get("batch_size", BATCH) if what == "train" else BATCH
    network = canonical(known["network"])
    if what == "train" and known.get("trades"):  # each step of the inner attack, then both images
        steps = known["trades"]["steps"]
        return steps * _kernels("attack", network, batch) + 2 * _kernels("train", network, batch), batch, half
    return _kernels(what, network, batch), batch, half


@functools.cache
def _kernels(what: str, network: str, batch: int) -> list[Operation]:
    wanted = json.loads(network)
    module = stacks.skeleton(wanted)
    images = torch.empty(batch, *wanted["shape"], device="meta", requires_grad=what == "attack")
    labels = torch.zeros(batch, dtype=torch.long, device="meta")
    with _Counter() as counter:
        COUNTED[what](module, images, labels)
    return counter.found


def _train(module: torch.nn.Module, images: Tensor, labels: Tensor) -> None:
    loss = cross_entropy(module.train()(images)[None], labels[None]).mean()
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    gradient = torch.cat([g.flatten() for g in gradients])
    weights, velocity, rate = (torch.empty_like(gradient) for _ in range(3))
    sgd_step(weights, gradient, velocity, rate, 0.9, 1e-4)


def _predict(module: torch.nn.Module, images: Tensor, labels: Tensor) -> None:
    with torch.no_grad():
        module.eval()(images)


def _attack(module: torch.nn.Module, images: Tensor, labels: Tensor) -> None:
    torch.autograd.grad(log_odds_against(module.eval()(images), labels).sum(), images)


COUNTED: dict[str, Callable[[Any, Tensor, Tensor], None]] = {"train": _train, "predict": _predict, "attack": _attack}
"""What is counted in operations; the rest is computed on the CPU beside the GPU."""
