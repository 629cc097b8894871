"""What this project is measured against: packages of the extra `bench`, and plain readings of public code.

Readings of https://github.com/Ali-E/AMUN, the paper's own code, are its algorithm in our words, and leave out what it
does beside that, such as saving a model after each epoch.
"""

import math
import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from amun_steps.training.recipe import Recipe, Schedule


def ladder(
    module: nn.Module, images: Tensor, labels: Tensor, epsilon_init: float, steps: int = 50
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 with torchattacks' PGDL2: attack, double the radius of those without a result, attack them again.

    The images found and the wrong labels; a sample's own where none was found before the ball outgrew [0, 1]^d.
    """
    from torchattacks import PGDL2

    image, label, epsilon = images.clone(), module(images).argmax(dim=1), epsilon_init
    active = (label == labels).nonzero()[:, 0]
    while len(active) and epsilon <= math.sqrt(images[0].numel()):
        attack = PGDL2(module, eps=epsilon, alpha=epsilon / 10, steps=steps, random_start=False)
        image[active] = attack(images[active], labels[active])
        label[active] = module(image[active]).argmax(dim=1)
        active, epsilon = active[label[active] == labels[active]], 2 * epsilon
    return image, label


def ddn(module: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    """The nearest adversarial images by adv-lib's DDN, not rounded to 1/255."""
    sys.modules.setdefault("visdom", ModuleType("visdom"))  # for plots that nobody asks for; its sources do not build
    from adv_lib.attacks import ddn

    return ddn(module, images, labels, steps=steps, levels=None)


def rmia(target: np.ndarray, references: np.ndarray, gamma: float, samples: Sequence[int]) -> np.ndarray:
    """The paper's own code: scores of `samples` of (N,) signals, for each of which all priors and ratios of the others
    are computed anew from (references, N) signals."""
    found = []
    for x in samples:
        others = np.delete(target / references.mean(axis=0), x)
        found.append((target[x] / references[:, x].mean() / others > gamma).mean())
    return np.array(found)


def all_pairs(target: np.ndarray, prior: np.ndarray, gamma: float) -> np.ndarray:
    """RMIA's definition for positive ratios, N^2 comparisons by NumPy, a row at a time."""
    ratios = target / prior
    return np.array([(gamma * ratios < r).sum() for r in ratios]) / (len(ratios) - 1)


class Pictures(Dataset):
    """(n, height, width, channels) arrays with labels (n,), each made a tensor when it is asked for, as torchvision's
    data sets do."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.images, self.labels, self.transform = images, labels, ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: int) -> tuple[Tensor, int]:
        return self.transform(self.images[which]), int(self.labels[which])


def loaded(data: Dataset, batch: int) -> DataLoader:
    """The loader of the paper's own code, which has one worker."""
    return DataLoader(data, batch_size=batch, shuffle=True, num_workers=1)


class Resident:
    """Batches of (n, ...) images that are on the device as a whole, in a new order each time."""

    def __init__(self, images: Tensor, labels: Tensor, batch: int):
        self.images, self.labels, self.batch = images, labels, batch

    def __iter__(self):
        for rows in torch.randperm(len(self.labels), device=self.labels.device).split(self.batch):
            yield self.images[rows], self.labels[rows]


def train(module: nn.Module, batches: DataLoader | Resident, recipe: Recipe, schedule: Schedule) -> nn.Module:
    """What most code does: a module, torch.optim.SGD, a loop over batches of images and labels."""
    where = next(module.parameters()).device
    rate, momentum, decay = schedule.learning_rate, recipe.momentum, recipe.weight_decay
    optimiser = torch.optim.SGD(module.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, schedule.step or recipe.epochs + 1, schedule.factor)
    module.train()
    for _ in range(recipe.epochs):
        for images, labels in batches:
            optimiser.zero_grad()
            F.cross_entropy(module(images.to(where)), labels.to(where)).backward()
            optimiser.step()
        scheduler.step()
    return module.eval()
