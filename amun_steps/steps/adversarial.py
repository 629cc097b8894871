"""Step: Algorithm 1, the closest adversarial example of every training sample of one original model.

The algorithm is run once for all of D, as Appendix E.1 suggests; D_A of any forget set is then a selection of rows.
Where a config wants that, only the samples of its forget sets are looked at.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amun_steps.attacks import AdversarialSet, Forward, Seeds
from amun_steps.steps.forget import load_forget
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.progress import LOG, Progress
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import at_once, device, images_on


@dataclass(frozen=True)
class Search:
    """How epsilon_init is chosen (E.1): Algorithm 1 from a very small `start` on `samples` random samples; it is the
    least radius of that ladder within which at least `share` of them have their adversarial example."""

    samples: int
    start: float
    share: float


@dataclass(frozen=True)
class Attack:
    """The attack in Algorithm 1: `algorithm` names a module of `amun_steps.attacks`, which takes `parameters`."""

    algorithm: str
    parameters: dict[str, Any]
    search: Search


def build_adversarial_set(
    forward: Forward, images: Tensor, labels: Tensor, epsilon_init: float, attack: Attack, seeds: Seeds
) -> AdversarialSet:
    """Algorithm 1 on n samples, as many in parallel as `at_once` says; `seeds` (n,) are for what is random in it.

    Read literally, E.1's choice of `epsilon_init` lets 95% of the samples succeed in the first round, so the total work
    is around one run of the attack or less, below the 'less than three' of E.1; the price is that a step, a tenth of
    epsilon, is coarse for a sample whose boundary is near.
    """
    run, size = partial(_module(attack).attack, forward), at_once(images)
    parts = [
        run(
            images[start : start + size],
            labels[start : start + size],
            epsilon_init,
            seeds[start : start + size],
            **attack.parameters,
        )
        for start in range(0, max(len(images), 1), size)
    ]
    return AdversarialSet.joined(parts)


def _module(attack: Attack) -> ModuleType:
    return importlib.import_module(f"amun_steps.attacks.{attack.algorithm}")


def choose_epsilon_init(forward: Forward, images: Tensor, labels: Tensor, attack: Attack, seeds: Seeds) -> float:
    """epsilon_init by Appendix E.1, from a small random subset `images`, `labels` (see `Search`).

    Raises RuntimeError where none of them has an adversarial example.
    """

    def climb(rows: Tensor, start: float) -> AdversarialSet:
        own = [seeds[n] for n in rows.tolist()]
        return build_adversarial_set(forward, images[rows], labels[rows], start, attack, own)

    everyone, search = torch.arange(len(images), device=images.device), attack.search
    anew = getattr(_module(attack), "begins_anew", lambda **_: False)(**attack.parameters)
    ladder = radii(climb, everyone, search, math.sqrt(images[0].numel())) if anew else None
    if ladder is None:
        found = climb(everyone, search.start)
        ladder = found.epsilon[found.found]
    if not len(ladder):
        raise RuntimeError(
            f"none of {len(images)} samples has an adversarial example by {attack.algorithm}: does the model's output"
            " depend on its input?"
        )
    chosen = ladder.sort().values[math.ceil(search.share * len(ladder)) - 1].item()
    return chosen or search.start  # it is 0 where so many are misclassified that a norm of nothing is enough


def radii(
    climb: Callable[[Tensor, float], AdversarialSet], everyone: Tensor, search: Search, farthest: float
) -> Tensor | None:
    """(n,) final radii of samples; the least within which `search.share` of them are is what it is of
    `climb(everyone, search.start)`, which takes several times as many gradients. None where some sample has no example.

    climb: Algorithm 1 on some of `everyone` from a radius, where what is found in a ball depends on no smaller ball.
    Those whose examples are farthest, as many as may lie beyond the wanted radius and one more, climb from the start.
    So it is at least the least of theirs, and another sample that has an example in that ball need not climb up to it.
    """
    index = math.ceil(search.share * len(everyone)) - 1
    reach = farthest
    for _ in range(2):  # roughly, from the largest ball; then from about the wanted one
        rung = search.start * 2 ** math.floor(math.log2(max(reach / search.start, 1)))
        distance = climb(everyone, rung).distance
        if distance.isnan().any():
            return None
        reach = distance.sort().values[index].item()
    far, radius = distance >= reach, torch.zeros_like(distance)
    radius[far] = climb(everyone[far], search.start).epsilon
    least = radius[far].min().item()
    radius[~far] = climb(everyone[~far], least).epsilon
    unknown = ~far & (radius > least)  # in a smaller ball they may have one
    radius[unknown] = climb(everyone[unknown], search.start).epsilon
    return radius


@step
def adversarial(
    *,
    dataset: Path,
    originals: Path,
    original: int,
    forget: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    attack: Attack,
    seed: int,
    batch: int = 0,
    output: Output,
) -> None:
    """Run Algorithm 1 for every training sample of model `original` and write its arrays (see `AdversarialSet`).

    Rows are the training samples in the dataset's order; `epsilon_init` is an attribute of the file. Where there are
    files `forget`, they are those of their sets alone, and `sample` has their numbers. A sample without an adversarial
    example, whose distance is NaN, is left out of every D_A, and the log names it. batch: at most so many are attacked
    at a time; 0 for as many as `at_once` says.
    """
    where = device()
    data = load(dataset)
    model = stacks.load([originals], where)[[original]]
    images, labels = images_on(data, where), torch.from_numpy(data.labels).to(where)

    def forward(x: Tensor) -> Tensor:
        return model.logits(x[None])[0]

    members = _attacked(data.train, forget)
    seeds = np.array([seed_of(seed, "attack", original, n) for n in range(len(images))])
    generator = np.random.default_rng(seed_of(seed, "epsilon", original))
    few = generator.choice(members, min(attack.search.samples, len(members)), replace=False)
    epsilon_init = choose_epsilon_init(forward, images[few], labels[few], attack, seeds[few].tolist())
    LOG.info("epsilon_init is %.4g", epsilon_init)
    progress = Progress(f"{attack.algorithm}, original {original}", "sample", len(members))
    parts, batch = [], batch or at_once(images)
    for start in range(0, len(members), batch):
        rows = members[start : start + batch]
        part = build_adversarial_set(forward, images[rows], labels[rows], epsilon_init, attack, seeds[rows].tolist())
        parts.append(part.cpu())
        progress.tell(start + len(rows), len(rows))
    found = AdversarialSet.joined(parts)
    without = members[~found.found.numpy()]
    if len(without):
        LOG.warning(
            "%d of %d samples have no adversarial example and are in no D_A: samples %s",
            *(len(without), len(members), ", ".join(map(str, without[:20])) + ", ..." * (len(without) > 20)),
        )
    arrays = {name: column.numpy() for name, column in vars(found).items()}
    write_arrays(output, arrays | ({"sample": members} if forget else {}), epsilon_init=epsilon_init)


def _attacked(train: np.ndarray, forget: Sequence[Path]) -> np.ndarray:
    """The numbers of the samples of all sets in files of forget sets; where there are none, of all of D."""
    if not forget:
        return np.flatnonzero(train)
    return np.flatnonzero(np.any([load_forget(path, train).any(axis=0) for path in forget], axis=0))


def load_adversarial(path: Path, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D_A of the training samples `samples` (sorted numbers) in an HDF5 file: which of them have an adversarial
    example, and these images and wrong labels."""
    rows = rows_of(path, samples)
    with hdf5(path) as file:
        found = ~np.isnan(file["distance"][:][rows])
        # HDF5's own selection of rows is slower than reading all
        return samples[found], file["image"][:][rows[found]], file["label"][:][rows[found]]


def rows_of(path: Path, samples: np.ndarray) -> np.ndarray:
    """The rows of training samples (sorted numbers) in a file of this step.

    Raises ValueError where Algorithm 1 was not run for all of them.
    """
    with hdf5(path) as file:
        if "sample" not in file:
            return samples
        attacked = file["sample"][:]
    missing = np.count_nonzero(~np.isin(samples, attacked))
    if missing:
        raise ValueError(f"{path}: has no row for {missing} of the samples")
    return np.searchsorted(attacked, samples)


if __name__ == "__main__":
    main(adversarial)
