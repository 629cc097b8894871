"""What one turn of an epoch visits: the members' sets, each in a random order, cut into batches and augmented."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from amun_steps.training.recipe import Augmentation, Item, Loss, Samples


@dataclass(frozen=True)
class Turn:
    """One set, or several taken together, of each member of a stack.

    table: (models, longest, ...) columns of what each member visits, in order; nobody reads a row beyond the member's.
    losses: of each member, the losses that its rows' `loss` numbers, from 1. loss: (models, longest) these numbers, on
    the CPU; None where all rows have the objective's loss. cuts: of each member, the rows (start, stop) of each batch.
    """

    table: dict[str, Tensor]
    losses: list[tuple[Loss, ...]]
    loss: Tensor | None
    cuts: list[list[tuple[int, int]]]

    @classmethod
    def of(
        cls,
        items: Sequence[Item | None],
        generators: Sequence[Generator],
        batch_size: int,
        augmentation: Augmentation,
        device: torch.device,
    ) -> "Turn | None":
        """What each member visits of its item, drawn by its generator; None where nobody visits anything."""
        sets = [sets_of(item) for item in items]
        if not any(sets):  # D_R, where there is no access to it
            return None
        cuts = [cuts_of(own, batch_size) for own in sets]
        drawn = [
            _draw(own, spans, generator, augmentation) if own else {}
            for own, spans, generator in zip(sets, cuts, generators, strict=True)
        ]
        columns = next(d for d in drawn if d)
        table = {
            name: pad_sequence([d.get(name, column[:0]) for d in drawn], batch_first=True)
            for name, column in columns.items()
        }
        losses = [sum(own[1:], own[0]).losses if own else () for own in sets]
        loss = table.pop("loss")
        table = {name: column.to(device, non_blocking=True) for name, column in table.items()}
        return cls(table, losses, loss if any(losses) else None, cuts)

    @property
    def visits(self) -> Tensor:
        """(models,) how many samples each member visits."""
        return torch.tensor([own[-1][1] if own else 0 for own in self.cuts])

    def groups(self) -> list[tuple[int, int, list[int]]]:
        """(start, stop, members) of every step: those whose batches are the same rows take it together."""
        found = []
        for step in range(max(map(len, self.cuts))):
            groups: dict[tuple[int, int], list[int]] = defaultdict(list)
            for member, own in enumerate(self.cuts):
                if step < len(own):
                    groups[own[step]].append(member)
            found += [(*rows, members) for rows, members in groups.items()]
        return found


def sets_of(item: Item | None) -> list[Samples]:
    """The sets of an item that have samples: of one set or none, or of several that are taken together."""
    sets = item if isinstance(item, tuple) else (item,)
    return [samples for samples in sets if samples]


def cuts_of(sets: Sequence[Samples], batch_size: int) -> list[tuple[int, int]]:
    """The rows of each batch: `batch_size` of each set, as often as the longest has them.

    A last batch of one sample, which has no statistics of its own, is part of the batch before it.
    """
    length = max(map(len, sets), default=0)
    edges = [*range(0, length, batch_size), length]
    if len(edges) > 2 and edges[-1] - edges[-2] == 1:
        del edges[-2]
    return [(start * len(sets), stop * len(sets)) for start, stop in pairwise(edges)]


def _draw(
    sets: Sequence[Samples], cuts: Sequence[tuple[int, int]], generator: Generator, augmentation: Augmentation
) -> dict[str, Tensor]:
    """The samples in a random order, each with its random crop and flip.

    Of several sets a batch has as many samples of each, and its loss is the sum of their mean losses; a shorter set
    begins anew, in another order, until the longest is through.
    """
    longest, together, orders = max(map(len, sets)), sum(sets[1:], sets[0]), []
    for samples in sets:
        turns = [torch.randperm(len(samples), generator=generator) for _ in range(-(-longest // len(samples)))]
        orders.append(torch.cat(turns)[:longest] + sum(map(len, sets[: len(orders)])))
    spans = [(start // len(sets), stop // len(sets)) for start, stop in cuts]
    rows = torch.cat([order[start:stop] for start, stop in spans for order in orders])
    columns = {
        "index": together.index[rows],
        "label": together.label[rows],
        "weight": together.weight[rows] * len(sets),
        "loss": together.loss[rows],
    }
    n = len(rows)
    if augmentation.crop_padding:
        shift = torch.randint(0, 2 * augmentation.crop_padding + 1, (n, 2), generator=generator)
        columns["shift"] = torch.where(together.augment[rows, None], shift, augmentation.crop_padding)
    if augmentation.flip:
        columns["flip"] = (torch.rand(n, generator=generator) < 0.5) & together.augment[rows]
    return columns


def augment(images: Tensor, batch: dict[str, Tensor], augmentation: Augmentation) -> Tensor:
    """(models, batch, channels, height, width) images, each cropped at its `shift` (rows, columns from the padded
    corner) and mirrored where `flip`."""
    if "shift" not in batch and "flip" not in batch:
        return images
    *lead, height, width = images.shape
    flat = F.pad(images.flatten(0, 1), (augmentation.crop_padding,) * 4)
    n = len(flat)
    rows = torch.arange(height, device=images.device).expand(n, height)
    columns = torch.arange(width, device=images.device).expand(n, width)
    if "flip" in batch:
        columns = torch.where(batch["flip"].flatten()[:, None], columns.flip(1), columns)
    if "shift" in batch:
        shift = batch["shift"].flatten(0, 1)
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
    each = torch.arange(n, device=images.device)[:, None, None]
    picked = flat[each, :, rows[:, :, None], columns[:, None, :]]  # (n, height, width, channels)
    return picked.permute(0, 3, 1, 2).reshape(*lead, height, width)
