"""Step: several requests to forget, one after the other, by one method (paper, section 6.3 and Appendix H)."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from amun_steps.judging.judge import load_judge
from amun_steps.methods import Request, starts
from amun_steps.steps.adversarial import Attack, build_adversarial_set, load_adversarial
from amun_steps.steps.subsets import load_requests
from amun_steps.steps.unlearn import Unlearning, load_choice
from amun_steps.store.arrays import hdf5
from amun_steps.store.progress import span
from amun_steps.store.seeds import seed_globally, seed_of
from amun_steps.store.step import Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.device import device, images_on
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Samples


@step
def continuous(
    *,
    dataset: Path,
    originals: Path,
    requests: Path,
    requests_name: str,
    adversarial: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    tuned: Path,
    signals: Path,
    signal: dict[str, Any],
    gamma: float,
    unlearning: Unlearning,
    runs: int,
    attack: Attack | None = None,
    stack: int = 32,
    output: Output,
) -> None:
    """Each original forgets the requests of each sequence in order, `runs` times, with the choice that tuning made for
    another forget set (`tuned`), `stack` models at a time.

    A request's samples leave the training data for good: request k's D_R is D without requests 1 to k. D_A is that of
    the original model (AMUN), or is searched for anew with `attack` on the model as it is now (AMUN-A).
    `output` gets a row of CSV per sequence, original, run and request, with the request's number from 1, the metrics in
    percent of the newest request's samples against that D_R and the test set, and whether the model diverged.
    """
    judge = load_judge(dataset, signals, signal, gamma)
    where, data, asked = device(), load(dataset), load_requests(requests)
    images, labels = images_on(data, where), torch.from_numpy(data.labels)
    first = stacks.load([originals], where)
    choice = load_choice(tuned)
    unlearn = importlib.import_module(f"amun_steps.methods.{unlearning.method}").unlearn

    def closest(models: stacks.Stack, original: int, rows: np.ndarray, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """D_A for the samples `rows`: images on the device, wrong labels."""
        if attack is None or not models.weights.isfinite().all():  # a model that diverged has no adversarial examples
            _, image, label = load_adversarial(adversarial[original], rows)
            return torch.from_numpy(image).to(where), torch.from_numpy(label)
        with hdf5(adversarial[original]) as file:
            epsilon_init = float(file.attrs["epsilon_init"])
        seeds = [seed_of(seed, "attack", n) for n in rows.tolist()]
        found = build_adversarial_set(
            lambda x: models.logits(x[None])[0], images[rows], labels[rows].to(where), epsilon_init, attack, seeds
        )
        return found.image[found.found], found.label[found.found].cpu()

    everything = [(s, o, r) for s in range(len(asked)) for o in range(first.size) for r in range(runs)]
    rows = []
    for start in range(0, len(everything), stack):
        part = everything[start : start + stack]
        models = first[[o for _, o, _ in part]]
        for k in range(asked.shape[1]):
            size = max(int(asked[s, k].sum()) for s, _, _ in part) if adversarial else 0
            pool = torch.cat([images, images.new_zeros(len(part) * size, *images.shape[1:])])  # each D_A has its place
            updates, seeds = [], []
            for m, (s, o, r) in enumerate(part):
                forget, nothing = asked[s, k], np.zeros_like(asked[s, k])
                seed = seed_of(unlearning.seed, "continuous", requests_name, s, o, r, k)
                near = Samples.among(nothing, labels)
                if adversarial:
                    image, label = closest(models[[m]], o, np.flatnonzero(forget), seed)
                    near = Samples.of(len(images) + m * size + torch.arange(len(label)), label, augment=False)
                    pool[near.index] = image
                remain = remaining(data.train, asked[s], k) if unlearning.remain else nothing
                request = Request(
                    remain=Samples.among(remain, labels),
                    forget=Samples.among(forget, labels),
                    adversarial=near,
                    model=models[[m]],
                    images=pool,
                    classes=data.classes,
                )
                seed_globally(seed)
                updates.append(unlearn(request, **choice.hyperparameters))
                seeds.append(seed)
                pool = torch.cat([pool, *request.added]) if request.added else pool
            members = [update.member(choice.schedule, seed) for update, seed in zip(updates, seeds, strict=True)]
            models = starts(models, updates)
            which = f"sequences {span(start, start + len(part) - 1)} of {len(everything)}, request {k + 1}"
            label = f"{unlearning.method}, {requests_name}, {which}"
            fit(models, pool, members, unlearning.recipe, clipping=unlearning.clipping, label=label)
            logits = models.predict(images).numpy()
            for m, (s, o, r) in enumerate(part):
                remain = remaining(data.train, asked[s], k)
                found = judge.metrics(logits[m], judge.membership(logits[m]), asked[s, k], remain=remain)
                diverged = not np.isfinite(logits[m]).all()
                rows.append({"set": s, "original": o, "run": r, "request": k + 1, **found, "diverged": diverged})
    pd.DataFrame(rows).to_csv(output, index=False, float_format="%.6f", lineterminator="\n")


def remaining(train: np.ndarray, requests: np.ndarray, k: int) -> np.ndarray:
    """(N,) bool, D_R of request `k`, counted from 0: the training samples that no request up to it has forgotten.

    train: (N,) bool. requests: (requests, N) bool, one sequence.
    """
    return train & ~requests[: k + 1].any(axis=0)


if __name__ == "__main__":
    main(continuous)
