"""What training costs: the loop against what most code does, and an augmented step against a bare one."""

from typing import Any

import torch
from demo import CONFIG, Digits, recipe
from peers import Pictures, Resident, loaded, train
from ratios import Ratio, alternated

from amun_steps.training.device import device
from amun_steps.training.fit import cross_entropy, fit, sgd_step
from amun_steps.training.recipe import Augmentation, Member, Recipe, Samples, Schedule
from amun_steps.training.stack import build, initialise

RESNET = {"name": "resnet18", "shape": [3, 32, 32], "classes": 10}
PADDED = Augmentation(crop_padding=4, flip=True)
BATCH = 128


def small_model(epochs: int = 6, models: int = 8, repeats: int = 5) -> list[Ratio]:
    """The demo's network on the training images of digits by the demo's recipe, for some epochs; and `models` side by
    side."""
    digits, where, training = Digits(), device(), CONFIG["training"]["scratch"]
    wanted, schedule = recipe(training, epochs=epochs), Schedule(training["learning_rate"])
    among = Samples.among(digits.data.train, digits.labels)
    pictures = Pictures(digits.data.images[among.index].transpose(0, 2, 3, 1), among.label.numpy())
    images, labels = digits.images[among.index.to(where)], among.label.to(where)

    def ours(count: int):
        members = [Member(lambda *_: [among], schedule, seed) for seed in range(count)]
        fit(initialise(digits.network, range(count), where), digits.images, members, wanted)

    def theirs(batches):
        train(build(digits.network).to(where), batches, wanted, schedule)

    ways = {
        "ours": lambda: ours(1),
        "loader": lambda: theirs(loaded(pictures, wanted.batch_size)),
        "resident": lambda: theirs(Resident(images, labels, wanted.batch_size)),
        "stack": lambda: ours(models),
    }
    taken = alternated(ways, repeats)
    beside = f"one after the other (ours: {models} side by side)"
    return [
        Ratio.of_times("a DataLoader with one worker and torch.optim.SGD", taken["ours"], taken["loader"], 3),
        Ratio.of_times("resident tensors and torch.optim.SGD", taken["ours"], taken["resident"], 1),
        Ratio.of_times(beside, taken["stack"], models * taken["ours"]),
    ]


def step(network: dict[str, Any] = RESNET, repeats: int = 5) -> list[Ratio]:
    """A step of ResNet-18 on a batch that is shuffled, cropped and flipped, against one on a batch that is there."""
    training = Training(network, BATCH)
    taken = alternated({"ours": lambda: training.ours("float32"), "bare": lambda: training.bare("float32")}, repeats)
    return [Ratio.of_times("the same step on a batch that is already there", taken["ours"], taken["bare"], 0.95)]


class Training:
    """One epoch of a network on random images, in the ways that are compared."""

    def __init__(self, network: dict[str, Any], images: int, models: int = 1):
        self.network, self.where = network, device()
        torch.manual_seed(0)
        self.pool = torch.rand(images, *network["shape"], device=self.where)
        labels = torch.randint(0, network["classes"], (images,))
        samples = Samples.of(torch.arange(images), labels)
        self.members = [Member(lambda *_: [samples], Schedule(0.1), seed) for seed in range(models)]
        self.labels = labels.to(self.where)
        self.padding = PADDED if min(network["shape"][1:]) > 2 * PADDED.crop_padding else Augmentation()

    def ours(self, precision: str = "bfloat16", compile: bool = False) -> torch.Tensor:
        """By the training loop, with augmentation; the weights."""
        stack = initialise(self.network, range(len(self.members)), self.where)
        recipe = Recipe(1, BATCH, 0.9, 5e-4, self.padding, precision=precision, compile=compile)
        fit(stack, self.pool, self.members, recipe)
        return stack.weights

    def bare(self, precision: str = "bfloat16") -> torch.Tensor:
        """The same steps of one model on one batch that is already there: no shuffling, no augmentation, no log."""
        stack = initialise(self.network, [0], self.where)
        velocity, rate = torch.zeros_like(stack.weights), torch.full((1, 1), 0.1, device=self.where)
        images, labels = self.pool[None, :BATCH], self.labels[None, :BATCH]
        for _ in range(-(-len(self.pool) // BATCH)):
            weights = stack.weights.detach().requires_grad_()
            with torch.autocast(self.where.type, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = cross_entropy(stack.logits(images, weights=weights, train=True), labels).mean()
            (gradient,) = torch.autograd.grad(loss, weights)
            sgd_step(stack.weights, gradient, velocity, rate, 0.9, 5e-4)
        return stack.weights
