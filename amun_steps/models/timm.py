"""timm's models (https://github.com/huggingface/pytorch-image-models), by their names there, where it is installed."""

import difflib
from collections.abc import Sequence

from torch import nn

from amun_steps.store.step import InputError


def build(shape: Sequence[int], classes: int, *, model: str, parameters: dict | None = None) -> nn.Module:
    """timm's `model` in its own initialisation, with `parameters` of `timm.create_model`, such as `img_size`.

    Raises InputError where timm is not installed, and for a name that it does not have.
    """
    try:
        import timm
    except ModuleNotFoundError:
        raise InputError("timm is not installed: `pip install timm`, in the environment of the workflow") from None
    if not timm.is_model(model):
        close = difflib.get_close_matches(model, timm.list_models(), n=1)
        raise InputError(f"model: timm has no {model!r}" + (f"; did you mean '{close[0]}'?" if close else ""))
    return timm.create_model(model, num_classes=classes, in_chans=shape[0], **(parameters or {}))
