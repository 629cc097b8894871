"""Small networks and data that tests share."""

import torch
from torch import Tensor

from amun_steps.fit import Augmentation, Recipe, Samples
from amun_steps.methods import Request
from amun_steps.stack import Stack, initialise

CPU = torch.device("cpu")
SMALL = {"name": "small_resnet", "width": 4, "strides": [1, 2], "stem_stride": 1, "shape": [1, 8, 8], "classes": 10}
PLAIN = Augmentation(crop_padding=0, flip=False)


def recipe(epochs: int = 2, batch_size: int = 16, augmentation: Augmentation = PLAIN, **changes) -> Recipe:
    """A short recipe with the paper's momentum and weight decay."""
    fields = {"momentum": 0.9, "weight_decay": 5e-4} | changes
    return Recipe(epochs=epochs, batch_size=batch_size, augmentation=augmentation, **fields)


def images(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(n, 1, 8, 8) random images in [0, 1] and (n,) labels of 10 classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 8, 8, generator=generator), torch.randint(0, 10, (n,), generator=generator)


def models(count: int, network: dict = SMALL, first: int = 0) -> Stack:
    """A stack of freshly initialised models with seeds first, first + 1, ..."""
    return initialise(network, range(first, first + count), CPU)


def request(pool: Tensor, labels: Tensor, model: Stack, remain, forget, adversarial=(), wrong=()) -> Request:
    """A request to forget the rows `forget` of a pool; D_A are the rows `adversarial` with the labels `wrong`."""

    def rows(index) -> Tensor:
        return torch.tensor(list(index), dtype=torch.long)

    return Request(
        remain=Samples.of(rows(remain), labels[rows(remain)]),
        forget=Samples.of(rows(forget), labels[rows(forget)]),
        adversarial=Samples.of(rows(adversarial), rows(wrong), augment=False),
        model=model,
        images=pool,
        classes=10,
    )
