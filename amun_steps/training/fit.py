"""The one training loop: originals, references, retrained models, tuning grids and every unlearning method.

A stack of models is trained side by side; each member has its own data, order, augmentation, learning rate, penalty,
mask and generator, so that its result does not depend on who shares its stack, up to floating-point tolerance.
Members whose current batches differ in size (a last, partial batch) are stepped in groups of equal size, so no batch
is ever padded and batch normalisation sees what it would see alone. A member that visits nothing stays as it is, and so
do its running statistics.

Code of a network, method or penalty that draws from a global generator finds it seeded by the member's own seed, the
epoch and, while a batch is computed, its place in it. A network that draws is run one model at a time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from amun_steps.store.progress import LOG, Progress
from amun_steps.store.seeds import seed_globally, seed_of
from amun_steps.store.step import InputError
from amun_steps.training.batches import Turn, augment
from amun_steps.training.checkpoint import Checkpoint
from amun_steps.training.clipping import Clipper, Clipping
from amun_steps.training.recipe import Item, Loss, Member, Recipe
from amun_steps.training.stack import Stack


class Network(Protocol):
    """The models of a stack as an objective sees them."""

    def __call__(self, images: Tensor, train: bool = True) -> Tensor:
        """(models, batch, classes) logits of (models, batch, ...) images; those in evaluation mode know no weights."""


Objective = Callable[[Network, Tensor, Tensor, Sequence[Generator]], Tensor]
"""(network, images, labels, each model's generator) -> (models, batch) loss."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(models, batch) cross entropy of (models, batch, classes) logits and (models, batch) labels."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)


def supervised(network: Network, images: Tensor, labels: Tensor, generators: Sequence[Generator]) -> Tensor:
    """The objective of everything but adversarial training: the cross entropy."""
    return cross_entropy(network(images), labels)


def own_losses(
    logits: Tensor, images: Tensor, labels: Tensor, loss: Tensor, losses: Sequence[Sequence[Loss]]
) -> Tensor:
    """(models, batch) loss of samples of which some have another than the cross entropy.

    logits: (models, batch, classes). images, labels: (models, batch, ...). loss: (models, batch) on the CPU, the number
    of each sample's loss among its model's `losses`, counted from 1; 0 is the cross entropy.
    """
    found = []
    for one, x, y, number, own in zip(cross_entropy(logits, labels), images, labels, loss, losses, strict=True):
        of_model = one
        for which, other in enumerate(own, start=1):
            rows = (number == which).nonzero()[:, 0].to(one.device, non_blocking=True)
            if len(rows):
                of_model = of_model.index_copy(0, rows, other(logits[len(found), rows], x[rows], y[rows]))
        found.append(of_model)
    return torch.stack(found)


def fit(
    stack: Stack,
    pool: Tensor,
    members: Sequence[Member],
    recipe: Recipe,
    *,
    objective: Objective = supervised,
    clipping: Clipping | None = None,
    checkpoint: Path | None = None,
    after_epoch: Callable[[], object] = lambda: None,
    label: str = "models",
) -> Tensor:
    """Train `stack` in place, member m on `members[m]`, and return the (models, epochs) mean training loss.

    pool: (K, channels, height, width) images in [0, 1] on the stack's device, the rows that `Samples.index` names.
    checkpoint: where the state is saved between epochs, now and then and at the end; a fit that finds one goes on from
    there, to the same bits. clipping: keeps the spectral norms of the weights bounded, but for those whose mask is 0,
    which keep their bits. after_epoch: called when `stack` has been through another epoch, to look at it. label: what
    the log calls the models; it is told the mean loss at the end of an epoch, now and then. Nothing in an epoch waits
    for the device. A member that diverges goes on with NaN and disturbs no other; the log names it. Raises InputError
    where `recipe` wants torch.compile and there is no GPU.
    """
    if recipe.compile and stack.weights.device.type != "cuda":
        raise InputError(
            f"compile: found true on the device {stack.weights.device}, expected a CUDA GPU: torch.compile is for GPUs"
            " only here; run the job on one, or set compile: false in the recipe"
        )
    if len(members) != stack.size:
        raise ValueError(f"{len(members)} members for a stack of {stack.size} models")
    device = stack.weights.device
    generators = [Generator().manual_seed(member.seed) for member in members]
    masks = None if members[0].mask is None else torch.stack([m.mask for m in members]).to(device)
    velocity = torch.zeros_like(stack.weights)
    losses = torch.zeros(stack.size, recipe.epochs, device=device)
    clipper = Clipper(stack, clipping) if clipping else None
    still, given = (masks == 0, stack.weights.clone()) if clipper and masks is not None else (None, None)
    taken = torch.zeros(stack.size, dtype=torch.long)  # steps of each member, on the CPU

    def update(group: list[int], visited: Turn, turn: int, start: int, stop: int) -> None:
        if stack.random:
            seed_globally(seed_of(members[group[0]].seed, "batch", epoch, turn, start))
        whole = len(group) == stack.size
        rows = slice(None) if whole else torch.tensor(group, device=device)
        part = stack if whole else stack[group]
        batch = {name: column[rows, start:stop] for name, column in visited.table.items()}
        weights = part.weights.detach().requires_grad_()
        images = augment(pool[batch["index"]], batch, recipe.augmentation)

        def network(images: Tensor, train: bool = True) -> Tensor:
            own = weights if train else None
            return part.logits(images, weights=own, train=train, compiled=recipe.compile)

        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            if visited.loss is None:
                loss = objective(network, images, batch["label"], [generators[m] for m in group])
            else:
                own = [visited.losses[m] for m in group]
                loss = own_losses(network(images), images, batch["label"], visited.loss[group, start:stop], own)
        total = (loss * batch["weight"]).mean(dim=1).sum() + _penalties(weights, group, turn, start)
        (gradient,) = torch.autograd.grad(total, weights)
        losses[rows, epoch] += loss.detach().sum(dim=1)
        moved, mask = velocity[rows], None if masks is None else masks[rows]
        sgd_step(part.weights, gradient, moved, rates[rows], recipe.momentum, recipe.weight_decay, mask)
        if not whole:  # these were copies
            stack[group], velocity[rows] = part, moved
        if clipper:
            taken[group] += 1
            due = [m for m in group if taken[m] % clipping.every == 0]
            if due:
                clipper.clip(slice(None) if len(due) == stack.size else due)
                keep()

    def keep() -> None:
        if still is not None:
            torch.where(still, given, stack.weights, out=stack.weights)

    def _penalties(weights: Tensor, group: list[int], turn: int, start: int) -> Tensor | float:
        total = 0.0
        for member, own in zip([members[m] for m in group], weights.unbind(), strict=True):
            if member.penalty is not None:
                seed_globally(seed_of(member.seed, "penalty", epoch, turn, start))
                total = total + member.penalty(own, epoch / recipe.epochs)
        return total

    def passes(member: Member, generator: Generator) -> Sequence[Item]:
        seed_globally(seed_of(member.seed, "passes", epoch))
        return member.passes(generator, epoch)

    state = {"weights": stack.weights, "velocity": velocity, "losses": losses, "taken": taken, **stack.buffers}
    state |= {f"clipping {name}": vectors for name, vectors in (clipper.state if clipper else {}).items()}
    saved, first = Checkpoint(checkpoint), 0
    restored = saved.read()
    if restored is not None:
        first = int(restored["epochs"])
        for name, tensor in state.items():
            tensor.copy_(restored[name])
        for generator, bits in zip(generators, restored["generators"], strict=True):
            generator.set_state(bits.clone())  # a view would be read from its storage's start
    progress = Progress(label, "epoch", recipe.epochs, first)
    for epoch in range(first, recipe.epochs):
        rates = torch.tensor([m.schedule.rate(epoch) for m in members], device=device)[:, None]
        visits = torch.zeros(stack.size)
        for turn, items in enumerate(zip_longest(*map(passes, members, generators))):
            visited = Turn.of(items, generators, recipe.batch_size, recipe.augmentation, device)
            if visited is None:
                continue
            for start, stop, group in visited.groups():
                for together in [[m] for m in group] if stack.random else [group]:
                    update(together, visited, turn, start, stop)
            visits += visited.visits
        losses[:, epoch] /= visits.clamp(min=1).to(device)
        progress.tell(epoch + 1, int(visits.sum()), partial("mean loss {:.4g}".format, losses[:, epoch].mean()))
        if clipper and epoch == recipe.epochs - 1:
            clipper.finish()
            keep()
        after_epoch()
        if saved.due(last=epoch == recipe.epochs - 1):
            bits = torch.stack([generator.get_state() for generator in generators])
            saved.write(state | {"epochs": torch.tensor(epoch + 1), "generators": bits})
    diverged = ~(losses.isfinite().all(dim=1) & stack.weights.isfinite().all(dim=1)).cpu()
    if diverged.any():
        numbers = ", ".join(map(str, diverged.nonzero()[:, 0].tolist()))
        LOG.warning("%s: %d of %d diverged (numbers from 0: %s)", label, diverged.sum(), stack.size, numbers)
    return losses.cpu()


def sgd_step(
    weights: Tensor,
    gradient: Tensor,
    velocity: Tensor,
    rate: Tensor,
    momentum: float,
    weight_decay: float,
    mask: Tensor | None = None,
) -> None:
    """One step of SGD with momentum, in place, on (models, parameters) `weights` and `velocity`; `rate` (models, 1).

    mask: (models, parameters), how much of its step a weight takes. Where that is 0 (False) it keeps its bits: neither
    momentum nor weight decay moves it (the later fix of SalUn's own code; methods of the paper that mask only the
    gradient still move it).
    """
    velocity.mul_(momentum).add_(gradient.add(weights, alpha=weight_decay))
    change = rate * velocity
    if mask is not None:
        change = torch.where(mask != 0, mask * change, 0.0)
    weights.sub_(change)
