"""The training loop against the same models trained by a plain module and torch.optim.SGD, in one run.

    python benchmarks/training.py

prints samples per second of the quickstart's network for stacks of several sizes, and the ratio to the plain loop that
runs just before each.
"""

import time

import torch
from torch.nn import functional as F

from amun_steps.training.device import device
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Augmentation, Member, Recipe, Samples, Schedule
from amun_steps.training.stack import build, initialise

NETWORK = {"name": "small_resnet", "width": 32, "strides": [1], "stem_stride": 2, "shape": [1, 8, 8], "classes": 10}
SAMPLES, BATCH, EPOCHS = 1152, 128, 6


def plain(pool: torch.Tensor, labels: torch.Tensor) -> None:
    """What most code does: a module, an optimiser, a loop."""
    model = build(NETWORK).to(pool.device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(EPOCHS):
        for rows in torch.randperm(SAMPLES, device=pool.device).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(model(pool[rows]), labels[rows]).backward()
            optimiser.step()


def ours(pool: torch.Tensor, labels: torch.Tensor, size: int) -> None:
    """`size` models side by side."""
    samples = Samples.of(torch.arange(SAMPLES), labels.cpu())
    members = [Member(lambda *_: [samples], Schedule(0.1), seed) for seed in range(size)]
    stack = initialise(NETWORK, range(size), pool.device)
    fit(stack, pool, members, Recipe(EPOCHS, BATCH, 0.9, 5e-4, Augmentation()))


def rate(function, models: int, *arguments) -> float:
    """Samples per second, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        function(*arguments)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return models * SAMPLES * EPOCHS / best


if __name__ == "__main__":
    where = device()
    torch.manual_seed(0)
    images, classes = torch.rand(SAMPLES, 1, 8, 8, device=where), torch.randint(0, 10, (SAMPLES,), device=where)
    plain(images, classes)
    print(f"{'models in the stack':>20} {'samples/s':>10} {'plain loop':>10} {'ratio':>6}")
    for size in (1, 2, 4, 8, 32):
        reference = rate(plain, 1, images, classes)
        found = rate(ours, size, images, classes, size)
        print(f"{size:>20} {found:>10.0f} {reference:>10.0f} {found / reference:>6.2f}")
