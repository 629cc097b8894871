"""Step: a part of one method's grid of hyperparameters, tried on the tuning forget set (paper, Appendix C)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from amun_steps.judging.judge import Judge, load_judge
from amun_steps.judging.metrics import GAP_METRICS, average_gap
from amun_steps.steps.choose import going_on, part_of
from amun_steps.steps.forget import load_tests
from amun_steps.steps.unlearn import Choice, Run, Unlearner, Unlearning
from amun_steps.store.addresses import canonical
from amun_steps.store.arrays import hdf5
from amun_steps.store.progress import LOG
from amun_steps.store.step import InputError, Output, Partial, main, step
from amun_steps.training.recipe import Schedule

CRITERION = (*GAP_METRICS, "ft_auc")


@step
def tune(
    *,
    dataset: Path,
    originals: Path,
    forget: Path,
    forget_name: str,
    adversarial: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    retrained: Path,
    signals: Path,
    signal: dict[str, Any],
    gamma: float,
    judges: Literal["all", "half"] = "all",
    unlearning: Unlearning,
    grid: dict[str, list[Any]],
    on: list[int],
    limit: int | None = None,
    racing: float | None = None,
    part: int,
    parts: int,
    stack: int = 32,
    output: Output,
    partial: Partial = None,
) -> None:
    """Try the choices of one part of `grid` on the tuning set, from each of the originals numbered `on`.

    grid: values of learning_rate, step (epochs, or null for no scheduler) and of the method's own hyperparameters;
    limit: how many choices of a larger grid are tried, drawn at random.
    racing: after each original, the share of the choices that are tried on the next one (see `going_on`), in a grid of
    one part; none are stopped without it.
    retrained: outputs of the models retrained without the tuning set; the mean of those that did not diverge is what
    Avg. Gap is measured against; the attack in it is FT AUC. `output` gets a row of CSV per choice and original that it
    was tried on, in percent, empty where a run diverged; with racing also `stopped_after`, the last original that a
    choice was tried on where it did not go the whole way. Raises ValueError for racing in a part of a grid, which does
    not see the others, and InputError where all retrained models diverged.
    """
    if racing is not None and parts > 1:
        raise ValueError(f"--racing: found a grid in {parts} parts, expected one, in which all choices race")
    judge = load_judge(dataset, signals, signal, gamma, judges)
    unlearner = Unlearner(dataset, originals, forget, forget_name, adversarial, unlearning)
    tuning = len(unlearner.forget) - 1
    judged = unlearner.forget[tuning], load_tests(forget, judge.train)[tuning]
    with hdf5(retrained) as file:
        models = measure(judge, file["logits"], *judged)
    whole = np.isfinite(models).all(axis=1)  # one that diverged is no standard
    if not whole.any():
        raise InputError(
            f"{retrained}: found models without finite outputs only, expected one to measure Avg. Gap against; change"
            " the recipe that retrained models are trained by"
        )
    standard = models[whole].mean(axis=0)
    points = part_of(grid, part, parts, limit)
    measured = np.full((len(points), len(on), len(CRITERION)), np.nan)
    tries = np.zeros(len(points), dtype=int)  # on how many originals each is tried
    for now in np.split(np.arange(len(on)), 1 if racing is None else len(on)):
        gaps = average_gap(measured[:, : now[0]], standard)
        left = np.arange(len(points)) if racing is None else going_on(gaps, racing)
        LOG.info("%d of %d choices on original %s", len(left), len(points), ", ".join(str(on[k]) for k in now))
        plan = [Run(on[k], tuning, 0, choice_at(points[n])) for n in left for k in now]
        found = [
            measure(judge, models.predict(unlearner.images).numpy(), *judged)
            for models, _ in unlearner.run(plan, stack, partial and partial / f"original{on[now[0]]}")
        ]
        measured[np.ix_(left, now)] = np.concatenate(found).reshape(len(left), len(now), -1)
        tries[left] = now[-1] + 1
    measured = measured[np.arange(len(on)) < tries[:, None]]
    rows = pd.DataFrame(measured, columns=list(CRITERION)).assign(average_gap=average_gap(measured, standard))
    tried = [(point, count, o) for point, count in zip(points, tries, strict=True) for o in on[:count]]
    columns = [{name: canonical(value) for name, value in point.items()} | {"original": o} for point, _, o in tried]
    rows = pd.concat([pd.DataFrame(columns), rows], axis=1)
    if racing is not None:
        rows["stopped_after"] = ["" if count == len(on) else on[count - 1] for _, count, _ in tried]
    rows.to_csv(output, index=False, float_format="%.6f", lineterminator="\n")


def measure(judge: Judge, logits: Iterable[np.ndarray], forget: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """(models, 4) metrics of the tuning criterion of each model's (N, classes) logits."""
    measured = [judge.metrics(model, judge.membership(model), forget, alike=alike) for model in logits]
    return np.array([[m[name] for name in CRITERION] for m in measured])


def choice_at(point: dict[str, Any]) -> Choice:
    """A point of the grid: what is not the schedule's is the method's."""
    hyperparameters = dict(point)
    return Choice(Schedule(hyperparameters.pop("learning_rate"), hyperparameters.pop("step")), hyperparameters)


if __name__ == "__main__":
    main(tune)
