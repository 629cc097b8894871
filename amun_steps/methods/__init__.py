"""Unlearning methods, one file each, found by their name in the config.

A module has `unlearn(request, *, ...hyperparameters) -> Update`: which samples with which labels and losses are passed
over in an epoch, a penalty, a mask, weights to start from. `NEEDS` names what the method cannot do without: "remain"
(access to D_R) or "adversarial" (D_A of Algorithm 1). `ONE_SHOT = True` says that it passes over nothing, so that it
has no learning rate to be tuned. A new method is a new file here and a line in the config; nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor
from torch.func import grad, vmap
from torch.nn import functional as F

from amun_steps.training.device import at_once
from amun_steps.training.recipe import Item, Loss, Member, Passes, Penalty, Samples, Schedule
from amun_steps.training.stack import Stack, initialise


@dataclass(frozen=True)
class Request:
    """What a method is given to unlearn D_F from one original model.

    remain: D_R, empty where there is no access to it. forget: D_F, true labels. adversarial: D_A with the wrong labels,
    never augmented; empty for a method that does not need it. model: a stack of one, theta_o, to be read only. images:
    (K, channels, height, width) the pool that `Samples.index` names. added: what `add` put behind it.
    """

    remain: Samples
    forget: Samples
    adversarial: Samples
    model: Stack
    images: Tensor
    classes: int
    added: list[Tensor] = field(default_factory=list)

    def logits(self, images: Tensor) -> Tensor:
        """(n, classes) logits of theta_o in evaluation mode."""
        return self.model.logits(images[None])[0]

    def batches(self, samples: Samples, batch: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of samples and their labels on the device, `batch`, or as `at_once` says, at a time."""
        device, batch = self.images.device, batch or at_once(self.images)
        for index, label in zip(samples.index.split(batch), samples.label.split(batch), strict=True):
            yield self.images[index.to(device)], label.to(device)

    def gradient(self, samples: Samples, batch: int | None = None) -> Tensor:
        """(parameters,) gradient at theta_o, in evaluation mode, of the cross entropy summed over samples."""
        weights = self.model.weights.detach().requires_grad_()
        gradient = torch.zeros_like(weights)
        for images, label in self.batches(samples, batch):
            logits = self.model.logits(images[None], weights=weights)[0]
            gradient += torch.autograd.grad(F.cross_entropy(logits, label, reduction="sum"), weights)[0]
        return gradient[0]

    def fisher(self, samples: Samples, batch: int = 32) -> Tensor:
        """(parameters,) diagonal of the empirical Fisher information at theta_o, in evaluation mode: the mean over
        samples of the squared gradient of each one's cross entropy. `batch` gradients are in memory at once."""
        total = torch.zeros_like(self.model.weights[0])
        for images, label in self.batches(samples, batch):
            each = vmap(grad(self.loss_of_one), in_dims=(None, 0, 0))(self.model.weights[0], images, label)
            total += each.square().sum(dim=0)
        return total / len(samples)

    def loss_of_one(self, weights: Tensor, image: Tensor, label: Tensor) -> Tensor:
        """The cross entropy of one image under (parameters,) weights in place of theta_o's, in evaluation mode; a
        function that torch.func can differentiate."""
        return F.cross_entropy(self.model.logits(image[None, None], weights=weights[None])[0, 0], label)

    def part_of_remain(self, share: float) -> Samples:
        """A random `share` of D_R, at least one sample, by the global generator."""
        count = max(1, round(share * len(self.remain)))
        return self.remain[torch.randperm(len(self.remain))[:count]]

    def untrained(self) -> Stack:
        """A freshly initialised model of theta_o's network, by a seed from the global generator."""
        return initialise(self.model.network, [int(torch.randint(2**62, ()))], self.model.weights.device)

    def add(self, images: Tensor) -> Tensor:
        """Put (n, channels, height, width) images, such as noise, behind the pool: their (n,) rows for `Samples.of`."""
        first = len(self.images) + sum(map(len, self.added))
        self.added.append(images.detach().to(self.images))
        return torch.arange(first, first + len(images))


def nothing(generator: Generator, epoch: int) -> Sequence[Item]:
    """The passes of a method that trains nothing."""
    return ()


@dataclass(frozen=True)
class Update:
    """What a method does: see `amun_steps.training.recipe.Member` for passes, penalty and mask.

    start: a stack of one that training begins from in place of theta_o.
    """

    passes: Passes = nothing
    penalty: Penalty | None = None
    mask: Tensor | None = None
    start: Stack | None = None

    def member(self, schedule: Schedule, seed: int) -> Member:
        """One run of it, for `amun_steps.training.fit`."""
        return Member(self.passes, schedule, seed, self.penalty, self.mask)


def starts(models: Stack, updates: Sequence[Update]) -> Stack:
    """`models`, each, where its update says so, replaced by what it starts from."""
    for number, update in enumerate(updates):
        if update.start is not None:
            models[[number]] = update.start
    return models


def wrong_labels(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """(n,) labels, each uniform over the classes - 1 wrong ones."""
    return (labels + torch.randint(1, classes, labels.shape, generator=generator)) % classes


def imitation(teacher: Callable[[Tensor, Tensor], Tensor], temperature: float = 1.0) -> Loss:
    """The loss T^2 KL(softmax(teacher / T) || softmax(model / T)) at temperature T (Hinton et al., 2015).

    teacher: (images (n, ...), labels (n,)) -> (n, classes) logits.
    """

    def loss(logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = F.softmax(teacher(images, labels) / temperature, dim=1)
        found = F.log_softmax(logits / temperature, dim=1)
        return temperature**2 * F.kl_div(found, wanted, reduction="none").sum(dim=1)

    return loss


def layers(model: Stack) -> list[list[str]]:
    """The names of the parameters of each layer, in the order of the network's module.

    A layer is a convolution or a linear map with what follows it up to the next one, such as a normalisation. Shortcuts
    come where the module has them.
    """
    found: list[list[str]] = [[]]
    for name, parameter in model.module.named_parameters():
        if parameter.ndim > 1 and found[-1]:
            found.append([])
        found[-1].append(name)
    return found


def flat(model: Stack, value: Callable[[str, Tensor], Tensor]) -> Tensor:
    """(parameters,) from what `value` says of each parameter: (name, tensor of theta_o) -> a tensor of its shape."""
    parts = model.parameters(model.weights)
    return torch.cat([value(name, tensor[0]).flatten() for name, tensor in parts.items()])


def last_layers(model: Stack, count: int) -> Tensor:
    """(parameters,) bool: those of the last `count` of the model's `layers`, of all where there are no more."""
    names = {name for layer in layers(model)[-count:] for name in layer}
    return flat(model, lambda name, tensor: torch.full_like(tensor, name in names, dtype=torch.bool))
