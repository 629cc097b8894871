"""Where a step computes: on the GPU when there is one."""

import math

import torch

from amun_steps.training.data import Dataset


def device() -> torch.device:
    """The device of this process.

    On a CPU one thread is used: jobs run side by side instead, and the same inputs give the same bytes whatever the
    number of cores.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(1)
    return torch.device("cpu")


AT_ONCE = 1024
"""So many images of 32 x 32 and three channels, or smaller, are computed together; what a network keeps of one for its
derivatives grows with the image."""


def at_once(images: torch.Tensor) -> int:
    """How many of such (..., channels, height, width) images are computed together where nothing else says so."""
    return max(1, min(AT_ONCE, AT_ONCE * 3 * 32 * 32 // math.prod(images.shape[-3:])))


def images_on(data: Dataset, where: torch.device) -> torch.Tensor:
    """(N, channels, height, width) float32 images in [0, 1] on a device."""
    return torch.from_numpy(data.images).to(where).float() / 255
