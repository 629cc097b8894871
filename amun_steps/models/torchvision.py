"""torchvision's classification models, by their names there."""

import difflib
import inspect
from collections.abc import Sequence
from typing import get_type_hints

import torch
from torch import nn
from torchvision import models

from amun_steps.store.step import InputError


def build(shape: Sequence[int], classes: int, *, model: str, parameters: dict | None = None) -> nn.Module:
    """torchvision's `model` in its own initialisation, with `parameters` of its class, such as `image_size` of a vision
    transformer; without the auxiliary classifiers that two of them have for training.

    For images of other than three channels its first convolution takes the filters of red, green and blue in turn.
    Raises InputError for a name that torchvision does not have, and for a parameter that the model does not take.
    """
    names = models.list_models(module=models)
    if model not in names:
        raise InputError(f"model: torchvision has no classification model {model!r}{_close(model, names)}")
    taken = set(inspect.signature(get_type_hints(models.get_model_builder(model))["return"]).parameters)
    taken -= {"num_classes", "kwargs"}
    given = parameters or {}
    for name in given:
        if name not in taken:
            raise InputError(f"parameters: {model} takes no {name!r}{_close(name, taken)}")
    if "aux_logits" in taken:
        given = given | {"aux_logits": False}
    network = models.get_model(model, num_classes=classes, **given)
    if shape[0] != 3:
        _take_channels(network, shape[0])
    return network


def _close(name: str, names: Sequence[str] | set[str]) -> str:
    """What was perhaps meant, or all there is."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f", expected one of {', '.join(sorted(names))}"


def _take_channels(network: nn.Module, channels: int) -> None:
    """Make the first convolution of a network one for this many channels, in place."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.in_channels = channels
    first.weight = nn.Parameter(first.weight.detach()[:, torch.arange(channels) % 3].clone())
