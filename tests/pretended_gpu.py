"""A GPU for machines that have none: tensors of the CPU that say they are on a GPU, and refuse what is refused there.

Its numbers are the CPU's, to the bit. It shows that nothing mixes devices, and what waits for the device; it says
nothing of kernels, half precision, memory or speed.
"""

from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import cache
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU, META = torch.device("cuda", 0), torch.device("meta")
aten = torch.ops.aten

WAITS = Counter()
"""How often each operation made the CPU wait for the device."""

READS = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten.masked_select}
BETWEEN = {aten.copy_, aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}  # take both kinds


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU; `held` has its numbers. To autograd it is one without storage."""

    device = property(lambda self: GPU)

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device="meta",
        )

    def __init__(self, held: torch.Tensor):
        self.held = held

    def __repr__(self, **_) -> str:
        return f"OnGpu({self.held})"

    def __format__(self, wanted: str) -> str:
        return format(self.item(), wanted)

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, **_):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return perform(operation, args, kwargs or {})


def perform(operation, args, kwargs):
    """Do an operation on the numbers that its tensors hold; what comes out is where it would be."""
    name, kwargs = operation.overloadpacket, dict(kwargs)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    here = [tensor for tensor in tensors if not isinstance(tensor, OnGpu) and tensor.dim() > 0]
    wanted = kwargs.get("device")
    if wanted == GPU or (wanted == META and not Functions.without_storage):  # torch makes others beside one of ours
        wanted, kwargs["device"] = GPU, torch.device("cpu")
    lands = bool(there) if wanted is None else wanted == GPU
    if name in BETWEEN:
        lands = isinstance(args[0], OnGpu)
    if there and here and (name not in BETWEEN or (name is not aten.copy_ and not lands)):
        raise RuntimeError(f"{operation}: expected all tensors on the same device, found cuda:0 and cpu")
    if lands and any(isinstance(leaf, torch.Generator) for leaf in tree_leaves((args, kwargs))):
        raise RuntimeError(f"{operation}: expected a generator of the device cuda, found one of the CPU")
    masks = name is aten.index and any(tensor.dtype == torch.bool for tensor in tensors[1:])
    leaves = name is aten._to_copy and wanted is not None and not lands
    if there and (name in READS or masks or leaves or (name is aten.copy_ and not lands)):
        WAITS[str(name)] += 1
    out = operation(*tree_map(_held, args), **tree_map(_held, kwargs))
    if not lands:
        return out
    return return_and_correct_aliasing(operation, args, kwargs, tree_map(_put, out))


def _held(value):
    return value.held if isinstance(value, OnGpu) else value


def _put(value):
    return OnGpu(value) if isinstance(value, torch.Tensor) else value


class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return perform(operation, args, kwargs or {})


class Functions(TorchFunctionMode):
    """What would ask for a driver before it comes to an operation, and what wants a tensor without storage."""

    without_storage = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") == GPU:
            del kwargs["device"]
            return function(*args, **kwargs).to(GPU)
        if kwargs.get("device") in (META, "meta"):  # asked for by name: a skeleton
            Functions.without_storage += 1
            try:
                return function(*args, **kwargs)
            finally:
                Functions.without_storage -= 1
        if function is torch.Tensor.__setitem__ and isinstance(args[0], OnGpu) and not torch.is_tensor(args[2]):
            args = (*args[:2], torch.tensor(args[2], dtype=args[0].dtype).to(GPU))
        return function(*args, **kwargs)


@contextmanager
def gpu():
    """Within, tensors can be put on `GPU`."""
    on = torch.is_autocast_enabled
    driver = {
        "_lazy_init": lambda: None,
        "get_rng_state": lambda device=None: torch.zeros(1),  # what draws there draws from the CPU's
        "set_rng_state": lambda state, device=None: None,
    }
    kinds = patch.object(torch, "is_autocast_enabled", lambda kind: kind != "meta" and on(kind))  # torch.func's tensors
    with patch.multiple(torch.cuda, **driver), kinds, Operations(), Functions():
        yield


_ENTERED = ExitStack()  # never left


@cache
def device() -> torch.device:
    """In the place of `amun_steps.training.device.device`: all that this process does from now on is on the GPU."""
    torch.set_num_threads(1)
    _ENTERED.enter_context(gpu())
    return GPU
