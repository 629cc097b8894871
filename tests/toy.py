"""Small networks and data that tests share."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from amun_steps.methods import Request
from amun_steps.store.arrays import write_arrays
from amun_steps.training import stack as stacks
from amun_steps.training.data import Dataset
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Augmentation, Member, Recipe, Samples, Schedule
from amun_steps.training.stack import Stack, initialise

CPU = torch.device("cpu")
SMALL = {"name": "small_resnet", "width": 4, "strides": [1, 2], "stem_stride": 1, "shape": [1, 8, 8], "classes": 10}
STEADY = SMALL | {"batch_norm": False, "pooled": False}
"""A network that a learning rate of 0 leaves as it is, to the bit: it has no running statistics."""
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


def pool(data: Dataset) -> Tensor:
    """(N, 1, 8, 8) images in [0, 1]."""
    return torch.from_numpy(data.images).float() / 255


def files(
    folder: Path, *, sets: int, network: dict = STEADY, count: int = 2
) -> tuple[dict[str, Path | list[Path]], Dataset]:
    """What steps read, by the names of their parameters, and the data: 120 handwritten digits, of which 70 are for
    training; `sets` forget sets of 20 (the last one is tuning's); `count` originals after a short training; and, for
    each of them, adversarial examples that lie on their samples, with labels that tell the originals apart."""
    digits = load_digits()
    data = Dataset((digits.images[:120, None] * 15).astype(np.uint8), digits.target[:120], np.arange(120) < 70)
    named = {name: folder / f"{name}.h5" for name in ("dataset", "forget")}
    write_arrays(named["dataset"], {"images": data.images, "labels": data.labels.astype(np.int16), "train": data.train})
    generator = np.random.default_rng(0)
    forget = np.zeros((sets, 120), dtype=bool)
    for row in forget:
        row[generator.choice(70, 20, replace=False)] = True
    write_arrays(named["forget"], {"forget": forget})
    originals = models(count, network)
    members = [
        Member(lambda *_: [Samples.among(data.train, torch.from_numpy(data.labels))], Schedule(0.05), seed)
        for seed in range(count)
    ]
    fit(originals, pool(data), members, recipe(epochs=15))
    named["originals"] = folder / "originals.safetensors"
    stacks.save(originals, named["originals"])
    named["adversarial"] = [folder / f"adversarial{o}.h5" for o in range(count)]
    for o, path in enumerate(named["adversarial"]):
        label = (data.labels[data.train] + 1 + o) % 10
        found = {"image": pool(data)[data.train].numpy(), "label": label, "distance": np.zeros(len(label))}
        write_arrays(path, found, epsilon_init=0.1)
    return named, data


def double(models: Stack) -> Stack:
    """The models in double precision, in which sums that are rounded otherwise on another CPU still agree."""
    return Stack(models.network, models.weights.double(), {k: v.double() for k, v in models.buffers.items()})
