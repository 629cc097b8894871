"""Where a step computes: on the GPU when there is one."""

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


def images_on(data: Dataset, where: torch.device) -> torch.Tensor:
    """(N, channels, height, width) float32 images in [0, 1] on a device."""
    return torch.from_numpy(data.images).to(where).float() / 255
