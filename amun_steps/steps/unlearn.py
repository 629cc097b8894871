"""Step: one unlearning method on every original model, forget set and run."""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amun_steps.methods import Request, Update, starts
from amun_steps.steps.adversarial import load_adversarial
from amun_steps.steps.forget import load_forget
from amun_steps.steps.train import write_models
from amun_steps.store.addresses import canonical
from amun_steps.store.progress import span
from amun_steps.store.seeds import seed_globally, seed_of
from amun_steps.store.step import InputError, Output, Partial, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.clipping import Clipping
from amun_steps.training.data import Dataset, load
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Recipe, Samples, Schedule


@dataclass(frozen=True)
class Unlearning:
    """How a method is run. `method` is a module of `amun_steps.methods`; `remain` says whether it may use D_R.

    transferred: D_A is not that of the model that forgets but of another original (F.4), in turn from run to run.
    clipping: of originals that were trained with it; they stay clipped, as in the paper's public code.
    """

    method: str
    remain: bool
    recipe: Recipe
    seed: int
    transferred: bool = False
    clipping: Clipping | None = None


@dataclass(frozen=True)
class Choice:
    """A point of a tuning grid: the learning rate's schedule and the method's own hyperparameters."""

    schedule: Schedule
    hyperparameters: dict[str, Any] = field(default_factory=dict)


def load_choice(path: Path) -> Choice:
    """What tuning chose (see `tune`). Raises InputError, naming the file, for one that does not say."""
    try:
        chosen = json.loads(path.read_text())
        return Choice(Schedule(chosen["learning_rate"], chosen["step"]), chosen["hyperparameters"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: found no choice of a grid ({error}); delete it, and it is made again") from None


@dataclass(frozen=True)
class Run:
    """One unlearning run: which original forgets which set, under which choice, and the number of the repetition."""

    original: int
    set: int
    run: int
    choice: Choice

    def __str__(self) -> str:
        schedule = self.choice.schedule
        values = {"learning rate": schedule.learning_rate, "step": schedule.step, **self.choice.hyperparameters}
        said = [f"{name} {value}" for name, value in values.items() if value is not None]
        return ", ".join([f"set {self.set}", f"original {self.original}", f"run {self.run}", *said])


class Unlearner:
    """Everything that the runs of one method share: data, originals, forget sets and D_A, on the device."""

    def __init__(
        self,
        dataset: Path,
        originals: Path,
        forget: Path,
        forget_name: str,
        adversarial: Sequence[Path],
        unlearning: Unlearning,
    ):
        self.unlearning = unlearning
        self.forget_name = forget_name
        self.data: Dataset = load(dataset)
        self.device = device()
        self.originals = stacks.load([originals], self.device)
        self.forget = load_forget(forget, self.data.train)
        self.adversarial = adversarial
        self.images = images_on(self.data, self.device)
        self.labels = torch.from_numpy(self.data.labels)
        self.unlearn = importlib.import_module(f"amun_steps.methods.{unlearning.method}").unlearn

    def run(
        self, runs: Sequence[Run], size: int, partial: Path | None = None
    ) -> Iterator[tuple[stacks.Stack, np.ndarray]]:
        """For each part of `size` runs: the unlearned models and their (models, epochs) training loss."""
        pool, adversarial = self._pool({(self.source_of(r), r.set) for r in runs})
        given, updates = pool, dict[str, Update]()
        keys = [canonical([r.original, r.set, r.run, r.choice.hyperparameters]) for r in runs]
        last = {key: number for number, key in enumerate(keys)}  # the run that needs it last
        for start in range(0, len(runs), size):
            part = runs[start : start + size]
            updates = {key: update for key, update in updates.items() if last[key] >= start}
            pool = pool if updates else given  # without what was added for others
            of_part = []
            for r, key in zip(part, keys[start : start + size], strict=True):
                source = self.source_of(r)
                if key not in updates:  # a mask is the same for all schedules
                    request = self._request(r.original, r.set, pool, adversarial.get((source, r.set)))
                    seed_globally(seed_of(self.unlearning.seed, "method", self.forget_name, r.set, r.original, r.run))
                    updates[key] = self.unlearn(request, **r.choice.hyperparameters)
                    pool = torch.cat([pool, *request.added]) if request.added else pool
                of_part.append(updates[key])
            members = [u.member(r.choice.schedule, self.seed_of(r)) for u, r in zip(of_part, part, strict=True)]
            models = starts(self.originals[[r.original for r in part]], of_part)
            checkpoint = partial and partial / f"runs{start}to{start + models.size - 1}.safetensors"
            label = f"{self.unlearning.method}, {self.forget_name}, {span(part[0], part[-1])}"
            how = {"clipping": self.unlearning.clipping, "checkpoint": checkpoint, "label": label}
            losses = fit(models, pool, members, self.unlearning.recipe, **how)
            yield models, losses.numpy()

    def seed_of(self, run: Run) -> int:
        """The seed of a run: the same for every method and choice, so that they differ in nothing else."""
        return seed_of(self.unlearning.seed, "unlearn", self.forget_name, run.set, run.original, run.run)

    def source_of(self, run: Run) -> int:
        """The number of the original model whose D_A a run takes."""
        count = self.originals.size
        return (run.original + 1 + run.run % (count - 1)) % count if self.unlearning.transferred else run.original

    def _pool(self, wanted: set[tuple[int, int]]) -> tuple[Tensor, dict[tuple[int, int], Samples]]:
        """The dataset's images followed by the adversarial ones, and D_A of each (source, forget set) in it."""
        images, samples, end = [self.images], {}, len(self.images)
        if self.adversarial:
            for source, which in sorted(wanted):
                rows, image, label = load_adversarial(self.adversarial[source], np.flatnonzero(self.forget[which]))
                images.append(torch.from_numpy(image).to(self.device))
                index = torch.arange(end, end + len(rows))
                samples[source, which] = Samples.of(index, torch.from_numpy(label), augment=False)
                end += len(rows)
        return torch.cat(images) if samples else self.images, samples

    def _request(self, original: int, which: int, pool: Tensor, adversarial: Samples | None) -> Request:
        forget = self.data.train & self.forget[which]
        remain = self.data.train & ~forget if self.unlearning.remain else np.zeros_like(forget)
        return Request(
            remain=Samples.among(remain, self.labels),
            forget=Samples.among(forget, self.labels),
            adversarial=adversarial or Samples.among(np.zeros_like(forget), self.labels),
            model=self.originals[[original]],
            images=pool,
            classes=self.data.classes,
        )


@step
def unlearn(
    *,
    dataset: Path,
    originals: Path,
    forget: Path,
    forget_name: str,
    adversarial: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    tuned: Path,
    unlearning: Unlearning,
    runs: int,
    stack: int = 32,
    models: Output,
    outputs: Output,
    partial: Partial = None,
) -> None:
    """Run a method with its tuned choice for every original x forget set x `runs` repetitions, `stack` at a time.

    `models` gets the unlearned models, `outputs` their `logits` (models, N, classes), `training_loss` and, for each
    model, the numbers of its `original`, `set` and `run`.
    """
    choice = load_choice(tuned)
    unlearner = Unlearner(dataset, originals, forget, forget_name, adversarial, unlearning)
    reported = range(len(unlearner.forget) - 1)  # the last set is tuning's
    plan = [Run(o, s, r, choice) for s in reported for o in range(unlearner.originals.size) for r in range(runs)]
    parts, losses = zip(*unlearner.run(plan, stack, partial), strict=True)
    numbers = {name: [getattr(r, name) for r in plan] for name in ("original", "set", "run")}
    numbers["seed"] = [unlearner.seed_of(r) for r in plan]
    unlearned, losses = stacks.concatenate(parts), np.concatenate(losses)
    write_models(models, outputs, unlearned, unlearner.images, losses, numbers, stack, choice=canonical(choice))


if __name__ == "__main__":
    main(unlearn)
