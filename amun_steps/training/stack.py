"""A stack of models: many models of one network as tensors with a leading model axis, run side by side.

On disk a stack is one safetensors file: every parameter and buffer under its own name with a leading model axis, and
the network as JSON metadata, so that a file can be loaded without knowing what made it.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call, vmap

from amun_steps.store.addresses import canonical
from amun_steps.store.seeds import seed_globally
from amun_steps.store.step import InputError
from amun_steps.training.device import at_once

# Attention's fast path in evaluation mode has no derivative under vmap.
torch.backends.mha.set_fastpath_enabled(False)


@dataclass
class Stack:
    """`size` models of one network.

    network: name and parameters of a module of `amun_steps.models`, plus the images' `shape` and `classes`, and perhaps
    `normalise`: the `mean` and `std` of each channel, which images are normalised by before they reach the module.
    weights: (models, parameters) all parameters of each model, flat, in the order of `named_parameters`.
    buffers: name -> (models, ...) running statistics of batch normalisation.
    """

    network: dict[str, Any]
    weights: Tensor
    buffers: dict[str, Tensor]

    def __post_init__(self):
        self.module = skeleton(self.network)
        self._named = [(name, tuple(p.shape), p.numel()) for name, p in self.module.named_parameters()]

    @property
    def size(self) -> int:
        return len(self.weights)

    @cached_property
    def random(self) -> bool:
        """Whether the network draws random numbers while it is trained, as dropout does: whether a generator moves."""
        device = self.weights.device
        gpus = [device.index] if device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(gpus):
            before = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, gpus)]
            self[:1].logits(self.weights.new_zeros(1, 2, *self.network["shape"]), train=True)
            after = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, gpus)]
        return not all(map(torch.equal, before, after))

    def __getitem__(self, models: slice | Sequence[int]) -> "Stack":
        """A stack of copies of `models` (which may repeat)."""
        index = torch.arange(self.size)[models] if isinstance(models, slice) else torch.as_tensor(models)
        index = index.to(self.weights.device)
        return Stack(self.network, self.weights[index], {k: v[index] for k, v in self.buffers.items()})

    def __setitem__(self, models: Sequence[int], others: "Stack") -> None:
        """Put `others`, of the same network, in the place of `models`."""
        index = torch.as_tensor(models, device=self.weights.device)
        self.weights[index] = others.weights
        for name, value in others.buffers.items():
            self.buffers[name][index] = value

    def parameters(self, weights: Tensor) -> dict[str, Tensor]:
        """Views of flat `weights` (models, parameters) by name, each (models, *shape)."""
        parts = weights.split([count for *_, count in self._named], dim=1)
        return {name: w.view(-1, *shape) for w, (name, shape, _) in zip(parts, self._named, strict=True)}

    def logits(
        self, images: Tensor, *, weights: Tensor | None = None, train: bool = False, compiled: bool = False
    ) -> Tensor:
        """(models, batch, classes) logits of (models, batch, channels, height, width) images in [0, 1].

        weights: stand in for the stack's own, to differentiate by. train: batch normalisation by the batch's own
        statistics; the running ones are updated in place. compiled: by torch.compile, which takes a minute at first.
        """
        if self.module.training != train:  # a walk through all modules
            self.module.train(train)
        images = _normalised(images, self.network.get("normalise"))
        half = torch.is_autocast_enabled(images.device.type)
        if half and len(images) == 1 and _takes_channels_last(self.module, images.shape[2:]):
            images = images[0].contiguous(memory_format=torch.channels_last)[None]
        parameters = self.parameters(self.weights if weights is None else weights)
        forward = _compiled() if compiled else _forward
        return forward(self.module, parameters, self.buffers, images, _tied(self.module))

    @torch.no_grad()
    def predict(self, images: Tensor, batch: int | None = None) -> Tensor:
        """(models, N, classes) logits in evaluation mode of (N, channels, height, width) images, on the CPU."""
        parts = [
            self.logits(part.expand(self.size, *part.shape)).float().cpu()
            for part in images.split(batch or at_once(images))
        ]
        return torch.cat(parts, dim=1)


def _forward(
    module: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, tied: bool
) -> Tensor:
    if len(images) == 1:  # vmap over one model costs what it saves with many
        state = {k: v[0] for k, v in (parameters | buffers).items()}
        return functional_call(module, state, (images[0],), tie_weights=tied)[None]
    call = partial(functional_call, module, tie_weights=tied)
    return vmap(lambda p, b, x: call((p, b), (x,)))(parameters, buffers, images)


@cache
def _takes_channels_last(module: nn.Module, shape: torch.Size) -> bool:
    """Whether a skeleton takes images in the layout that half-precision convolutions are fast in.

    One that calls `view` on what they make does not. Nothing but a pass shows it: tensors without storage do not tell.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    state = {name: torch.zeros_like(tensor, device="cpu") for name, tensor in named}
    images = torch.zeros(2, *shape).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), torch.autocast("cpu", enabled=False):
        try:
            functional_call(module, state, (images,))
        except RuntimeError:
            return False
    return True


@cache
def _tied(module: nn.Module) -> bool:
    """Whether a skeleton has one tensor under several names; looking for them at each step would take its time."""
    tensors = [id(t) for of in (module.named_parameters, module.named_buffers) for _, t in of(remove_duplicate=False)]
    return len(set(tensors)) < len(tensors)


@cache
def _compiled() -> Callable[..., Tensor]:
    return torch.compile(_forward)  # takes seconds, which only those wait for who want it


def _normalised(images: Tensor, normalise: dict[str, list[float]] | None) -> Tensor:
    """(..., channels, height, width) images, less the mean of their channel and divided by its standard deviation."""
    if normalise is None:
        return images
    mean, std = (_channels(tuple(normalise[key]), images.dtype, images.device) for key in ("mean", "std"))
    return (images - mean) / std


@cache
def _channels(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(channels, 1, 1) a value for each channel; kept, since what is copied to a device waits for it."""
    return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


def skeleton(network: dict[str, Any]) -> nn.Module:
    """The network's structure without storage; its tensors come with each call. Networks that are equal share it.

    All its modules are in one mode, `training`'s: whoever changes it changes it for all of them."""
    return _skeleton(canonical(network))


@cache
def _skeleton(network: str) -> nn.Module:
    wanted = json.loads(network)
    try:
        with torch.device("meta"):
            return build(wanted).train()
    except NotImplementedError:  # one that computes with tensors while it is built, such as torchvision's RegNet
        with torch.random.fork_rng(devices=[]):
            return build(wanted).to("meta").train()


def build(network: dict[str, Any]) -> nn.Module:
    """A freshly initialised module of `network`, for normalised images: its `name` is a module of `amun_steps.models`.

    Raises InputError for a `normalise` that is not for each channel.
    """
    parameters = dict(network)
    for key, values in parameters.pop("normalise", {}).items():
        if len(values) != network["shape"][0]:
            raise InputError(
                f"normalise.{key}: found {len(values)} numbers, expected {network['shape'][0]}: one for each channel"
            )
    return importlib.import_module(f"amun_steps.models.{parameters.pop('name')}").build(**parameters)


def initialise(network: dict[str, Any], seeds: Sequence[int], device: torch.device) -> Stack:
    """A stack of freshly initialised models, one per seed; a model depends on its own seed alone."""
    models = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            seed_globally(seed)
            models.append(build(network))
    return of_modules(network, models, device)


def of_modules(network: dict[str, Any], modules: Sequence[nn.Module], device: torch.device) -> Stack:
    """A stack of copies of modules of one network."""
    weights = torch.stack([nn.utils.parameters_to_vector(m.parameters()) for m in modules]).detach()
    buffers = {
        name: torch.stack([dict(m.named_buffers())[name] for m in modules]).to(device)
        for name, _ in modules[0].named_buffers()
    }
    return Stack(network, weights.to(device), buffers)


def concatenate(stacks: Sequence[Stack]) -> Stack:
    """One stack of all models of `stacks`, in order."""
    return Stack(
        stacks[0].network,
        torch.cat([s.weights for s in stacks]),
        {k: torch.cat([s.buffers[k] for s in stacks]) for k in stacks[0].buffers},
    )


def save(stack: Stack, path: Path) -> None:
    """Write a stack as safetensors."""
    tensors = {**stack.parameters(stack.weights), **stack.buffers}
    save_file(
        {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
        path,
        metadata={"network": canonical(stack.network)},
    )


def load(paths: Sequence[Path], device: torch.device) -> Stack:
    """The stack of all models in `paths`, in order. Raises InputError, naming it, for a file that is no stack."""
    stacks = []
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); delete it, and it is made again") from None
        if "network" not in metadata:
            raise InputError(f"{path}: no stack of models: its metadata lack 'network'")
        network = json.loads(metadata["network"])
        module = skeleton(network)
        weights = torch.cat([tensors[n].reshape(len(tensors[n]), -1) for n, _ in module.named_parameters()], dim=1)
        buffers = {n: tensors[n].to(device) for n, _ in module.named_buffers()}
        stacks.append(Stack(network, weights.to(device), buffers))
    return concatenate(stacks)
