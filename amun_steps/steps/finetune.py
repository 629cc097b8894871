"""Step: fine-tuning on D_A and on what could stand in its place (paper, section 6.2.1 and Appendix F.3)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from amun_steps.judging.metrics import accuracy
from amun_steps.steps.adversarial import load_adversarial
from amun_steps.steps.forget import load_forget
from amun_steps.store.progress import span
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Recipe, Samples, Schedule

PANELS = ("with_data", "with_forget", "alone")
"""What a set is joined with: D, D_F or nothing."""

SETS = ("orig", "adv", "adv_rs", "adv_rl", "orig_rl", "orig_advl")
"""D_F, D_A, and in its place D_ARS, D_ARL, D_RL and D_AdvL."""

OTHERS = ("adv_rl", "orig_rl")
"""Those whose labels are neither their images' own nor those of the adversarial examples."""


@step
def finetune(
    *,
    dataset: Path,
    originals: Path,
    forget: Path,
    forget_name: str,
    adversarial: list[Path],
    recipe: Recipe,
    schedule: Schedule,
    seed: int,
    stack: int = 32,
    output: Output,
) -> None:
    """Fine-tune each original on each of SETS, joined as each of PANELS says, for the first forget set.

    Samples keep their number when sets are joined, so that D_F joined with itself has each twice. None of SETS is
    augmented, as D_A is not; D and D_F beside them are. `output` gets a row of CSV per original, panel, set and epoch,
    from 0 for the original itself, with the test accuracy in percent. Of two classes none is neither an image's own nor
    its wrong one: then there are no sets of OTHERS.
    """
    where, data = device(), load(dataset)
    first = stacks.load([originals], where)
    forgotten = load_forget(forget, data.train)[0]
    images, labels = images_on(data, where), torch.from_numpy(data.labels)
    members, pool = [], [images]
    for original in range(first.size):
        drawn = Generator().manual_seed(seed_of(seed, "finetune", forget_name, original))
        rows, *found = load_adversarial(adversarial[original], np.flatnonzero(forgotten))
        image, wrong = map(torch.from_numpy, found)
        clean = images[rows].cpu()
        sphere = on_sphere(clean, (image - clean).flatten(1).norm(dim=1), drawn)
        other = other_labels(labels[rows], wrong, data.classes, drawn)
        sets = joined(data.train, forgotten, rows, labels, wrong, other, start=sum(map(len, pool)))
        pool += [image.to(where), sphere.to(where)]
        for (panel, name), samples in sets.items():
            if name in OTHERS and data.classes < 3:
                continue
            order = seed_of(seed, "finetune", forget_name, original, panel, name)
            members.append((original, panel, name, Member(lambda *_, samples=samples: [samples], schedule, order)))
    found, together = [], torch.cat(pool)
    for start in range(0, len(members), stack):
        part = members[start : start + stack]
        models = first[[original for original, *_ in part]]
        history: list[list[float]] = []

        def look(models=models, history=history) -> None:
            logits = models.predict(images[data.test]).numpy()
            history.append([accuracy(one, data.labels[data.test], np.arange(one.shape[0])) for one in logits])

        look()
        label = f"fine-tuned on {forget_name}, models {span(start, start + len(part) - 1)} of {len(members)}"
        fit(models, together, [member for *_, member in part], recipe, after_epoch=look, label=label)
        found += [
            {"original": original, "panel": panel, "set": name, "epoch": epoch, "test_accuracy": values[m]}
            for m, (original, panel, name, _) in enumerate(part)
            for epoch, values in enumerate(history)
        ]
    pd.DataFrame(found).to_csv(output, index=False, float_format="%.6f", lineterminator="\n")


def joined(
    train: np.ndarray,
    forgotten: np.ndarray,
    rows: np.ndarray,
    labels: Tensor,
    wrong: Tensor,
    other: Tensor,
    start: int,
) -> dict[tuple[str, str], Samples]:
    """What is trained on, for each of PANELS and each of SETS.

    train, forgotten: (N,) bool, D and D_F. rows: the n samples of D_F that have an adversarial example. labels: (N,).
    wrong, other: (n,) labels of these, that of the adversarial example and one that is neither this nor the true one.
    start: the row of the pool from which on the n
    adversarial examples lie, and after them the n points of the spheres.
    """
    x = torch.from_numpy(rows)
    x_adv = torch.arange(len(x)) + start
    sets = {
        "orig": (x, labels[x]),
        "adv": (x_adv, wrong),
        "adv_rs": (x_adv + len(x), wrong),
        "adv_rl": (x_adv, other),
        "orig_rl": (x, other),
        "orig_advl": (x, wrong),
    }
    beside = {
        "with_data": Samples.among(train, labels),
        "with_forget": Samples.among(forgotten, labels),
        "alone": Samples.among(np.zeros_like(train), labels),
    }
    return {(panel, name): beside[panel] + Samples.of(*sets[name], augment=False) for panel in PANELS for name in SETS}


def on_sphere(images: Tensor, distance: Tensor, generator: Generator) -> Tensor:
    """(n, ...) images, each moved by its `distance` (n,) in a uniformly random direction, then clamped to [0, 1]."""
    direction = torch.randn(images.shape, generator=generator)
    direction /= direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return (images + distance.view(-1, 1, 1, 1) * direction).clamp(0, 1)


def other_labels(labels: Tensor, wrong: Tensor, classes: int, generator: Generator) -> Tensor:
    """(n,) labels, each uniform over the classes - 2 that are neither its label nor its wrong one."""
    scores = torch.rand(len(labels), classes, generator=generator)
    each = torch.arange(len(labels))
    scores[each, labels] = scores[each, wrong] = -1
    return scores.argmax(dim=1)


if __name__ == "__main__":
    main(finetune)
