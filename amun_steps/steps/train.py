"""Steps: models trained from scratch: originals on D, reference models on their half of train + test, and retrained
models on D_R."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amun_steps.judging.metrics import accuracy
from amun_steps.steps.forget import load_forget
from amun_steps.steps.subsets import load_inclusion
from amun_steps.store.arrays import Parts, hdf5, write_arrays
from amun_steps.store.progress import span, tell
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, Partial, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.clipping import Clipping
from amun_steps.training.data import Dataset, load
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit, supervised
from amun_steps.training.recipe import Member, Recipe, Samples, Schedule
from amun_steps.training.trades import Trades


@dataclass(frozen=True)
class Training:
    """What is trained and how: `network` names a module of `amun_steps.models` and its parameters.

    trades: adversarial training, in place of the cross entropy. clipping: of the spectral norms.
    """

    network: dict[str, Any]
    recipe: Recipe
    schedule: Schedule
    seed: int
    trades: Trades | None = None
    clipping: Clipping | None = None


@step
def originals(
    *,
    dataset: Path,
    training: Training,
    count: int,
    stack: int = 8,
    models: Output,
    outputs: Output,
    partial: Partial = None,
) -> None:
    """Train `count` models on D; `models` gets the stack, `outputs` their logits for every sample."""
    data = load(dataset)
    names = [("original", o) for o in range(count)]
    trained, losses = _train(data, [data.train] * count, names, training, stack, partial, "original")
    numbers = {"original": range(count), "set": [-1] * count, "run": [-1] * count, "seed": _seeds(training, names)}
    write_models(models, outputs, trained, images_on(data, device()), losses, numbers, stack)
    _tell("originals", data, {"Train Acc": data.train, "Test Acc": data.test}, outputs)


@step
def retrained(
    *,
    dataset: Path,
    forget: Path,
    forget_name: str,
    set: int,
    training: Training,
    count: int,
    stack: int = 8,
    models: Output,
    outputs: Output,
    partial: Partial = None,
) -> None:
    """Train `count` models on D_R = D - D_F for forget set `set` (the last one is tuning's): the gold standard."""
    data = load(dataset)
    forgotten = load_forget(forget, data.train)[set]
    remain = data.train & ~forgotten
    names = [("retrained", forget_name, set, k) for k in range(count)]
    label = f"retrained without {forget_name}, set {set}, model"
    trained, losses = _train(data, [remain] * count, names, training, stack, partial, label)
    numbers = {"original": [-1] * count, "set": [set] * count, "run": range(count), "seed": _seeds(training, names)}
    write_models(models, outputs, trained, images_on(data, device()), losses, numbers, stack)
    parts = {"Unlearn Acc": forgotten, "Retain Acc": remain, "Test Acc": data.test}
    _tell(f"retrained without {forget_name}, set {set}", data, parts, outputs)


@step
def references(
    *,
    dataset: Path,
    inclusion: Path,
    members: list[int],
    training: Training,
    stack: int = 8,
    models: list[Output],
    partial: Partial = None,
) -> None:
    """Train reference models `members`, each on its row of the inclusion matrix; one file of `models` each.

    Raises ValueError for members that the matrix does not have, or that are not as many as the files.
    """
    data = load(dataset)
    everything = load_inclusion(inclusion)
    if len(models) != len(members) or max(members) >= len(everything):
        raise ValueError(f"members: found {members} for {len(models)} files, expected as many, below {len(everything)}")
    included = everything[members]
    trained, _ = _train(data, included, [("reference", r) for r in members], training, stack, partial, "reference")
    for row, path in enumerate(models):
        stacks.save(trained[row : row + 1], path)


def _train(
    data: Dataset,
    members: Sequence[np.ndarray],
    names: Sequence[tuple],
    training: Training,
    size: int,
    partial: Path | None,
    label: str,
) -> tuple[stacks.Stack, np.ndarray]:
    """One model per row of `members` (models, N) bool, from initialisations of their own, `size` models at a time.

    label: what the log calls one of them; its number follows. Returns the stack of models and their (models, epochs)
    training loss.
    """
    where = device()
    pool = images_on(data, where)
    labels = torch.from_numpy(data.labels)
    network = training.network | {"shape": data.images.shape[1:], "classes": data.classes}
    trained, losses = [], []
    for start in range(0, len(names), size):
        chunk = names[start : start + size]
        part = stacks.initialise(network, _seeds(training, chunk), where)
        fits = []
        for name, included in zip(chunk, members[start : start + size], strict=True):
            samples = Samples.among(included, labels)
            seed = seed_of(training.seed, *name, "order")
            fits.append(Member(lambda *_, samples=samples: [samples], training.schedule, seed))
        checkpoint = partial and partial / f"models{start}to{start + part.size - 1}.safetensors"
        robust = {"objective": training.trades or supervised, "clipping": training.clipping}
        named = f"{label} {span(chunk[0][-1], chunk[-1][-1])}"
        losses.append(fit(part, pool, fits, training.recipe, **robust, checkpoint=checkpoint, label=named).numpy())
        trained.append(part)
    return stacks.concatenate(trained), np.concatenate(losses)


def _tell(who: str, data: Dataset, parts: dict[str, np.ndarray], outputs: Path) -> None:
    """What a person sees first of all: the models' mean accuracy in percent on each of `parts` (N,) bool."""
    with hdf5(outputs) as file:
        found = [[accuracy(logits, data.labels, part) for part in parts.values()] for logits in file["logits"]]
    means = ", ".join(f"{name} {value:.2f}" for name, value in zip(parts, np.mean(found, axis=0), strict=True))
    tell(f"{who}: {means} (mean of {len(found)})")


def _seeds(training: Training, names: Sequence[tuple]) -> list[int]:
    """The seed of each model's initialisation."""
    return [seed_of(training.seed, *name, "initialisation") for name in names]


def write_models(
    models: Path,
    outputs: Path,
    stack: stacks.Stack,
    images: Tensor,
    losses: np.ndarray | None,
    numbers: dict[str, Sequence[int]],
    size: int,
    choice: str = "{}",
) -> None:
    """Write a stack to `models` and, to `outputs`, what its models say of every sample, `size` models at a time.

    `outputs` gets `logits` (models, N, classes) float32, `training_loss` (models, epochs) of models that were trained
    here, and `numbers`: for each model its `original`, `set` and `run`, -1 where there is none, and its `seed`;
    `choice` is an attribute of the file.
    """
    stacks.save(stack, models)
    columns = {name: np.array(values) for name, values in numbers.items()}
    parts = (stack[start : start + size].predict(images).numpy() for start in range(0, stack.size, size))
    logits = Parts((stack.size, len(images), stack.network["classes"]), parts)
    trained = {} if losses is None else {"training_loss": losses}
    write_arrays(outputs, {"logits": logits, **trained, **columns}, choice=choice)


if __name__ == "__main__":
    main(originals, retrained, references)
