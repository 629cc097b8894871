"""Weights that somebody else trained: plain state dicts in files, held against a network before they are used."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from amun_steps.store.step import InputError
from amun_steps.training.stack import build

WRAPPERS = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
"""What the keys of a state dict begin with that was taken from a wrapped module."""

SAVED = "torch.save(model.state_dict(), FILE)"


def load_module(path: Path, network: Mapping[str, Any], *, diverged: bool = False) -> nn.Module:
    """A module of `network` (see `amun_steps.training.stack.build`) with the state dict in a file, on the CPU.

    diverged: its weights may be no finite numbers. Raises InputError, naming the file, where they are not and may not,
    and for a file that is no plain state dict, or one whose keys, shapes or types are not the network's.
    """
    state = read_state(path)
    module = build(dict(network))
    differs = _difference(state, module.state_dict())
    if differs:
        raise InputError(f"{path}: not the weights of network '{network['name']}': {differs}")
    for key, value in state.items():
        if not (diverged or value.isfinite().all()):
            raise InputError(f"{path}: '{key}' has values that are no finite numbers: the model has diverged")
    module.load_state_dict(state)
    return module


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: of safetensors where it is called so, otherwise of `torch.save`.

    Raises InputError for a file that has something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file makes them raise
        if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
            raise InputError(
                f"{path}: has more than tensors, such as a whole module, and running what is in a pickle is not safe:"
                f" save a plain state dict, {SAVED}"
            ) from None
        reason = f"{error}".splitlines()[0] if f"{error}" else type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({reason}): expected a file of {SAVED}, or of safetensors, called .safetensors"
        ) from None
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: found a {type(found).__name__}, expected a state dict: {SAVED}")
    others = [key for key, value in found.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if others:
        nested = next((key for key in others if isinstance(found[key], Mapping) and _tensors(found[key])), None)
        hint = f": a checkpoint? Save what it has as {nested!r} by itself" if nested is not None else ""
        raise InputError(f"{path}: found the keys {_first(found)}, expected tensors alone{hint}")
    return dict(found)


def write_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name to a file that `read_state` reads, in the format that its name says."""
    state = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
        return
    with open(path, "wb") as file:  # given a path, torch writes its name into the file
        torch.save(state, file)


def _tensors(values: Mapping[Any, Any]) -> bool:
    return bool(values) and all(isinstance(value, Tensor) for value in values.values())


def _difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """In what a state dict differs from what a network has; nothing where it fits."""
    missing, more = [k for k in wanted if k not in found], [k for k in found if k not in wanted]
    forms = {k: (_form(found[k]), _form(wanted[k])) for k in wanted if k in found}
    other = [f"{key} {is_} (expected {should})" for key, (is_, should) in forms.items() if is_ != should]
    said = {"lacks": missing, "has beside them": more, "has of another form": other}
    parts = [f"it {verb} {len(keys)} of {len(wanted)}: {_first(keys)}" for verb, keys in said.items() if keys]
    for prefix, wrapper in WRAPPERS.items():
        if found and all(key.startswith(prefix) for key in found):
            parts.append(f"its keys begin with '{prefix}', as {wrapper} has them: save the state dict of the inner one")
    return "; ".join(parts)


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _first(keys: Any) -> str:
    """The first few of some keys."""
    keys = list(map(str, keys))
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
