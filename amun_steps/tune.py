"""Step: the hyperparameters of one method, by a grid search on the tuning forget set (paper, Appendix C)."""

import itertools
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from amun_steps.addresses import canonical
from amun_steps.fit import Schedule
from amun_steps.judge import Judge, load_judge
from amun_steps.metrics import GAP_METRICS, average_gap
from amun_steps.store import Output, Partial, main, step
from amun_steps.unlearn import Choice, Run, Unlearner, Unlearning

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
    unlearning: Unlearning,
    grid: dict[str, list[Any]],
    on: list[int],
    stack: int = 32,
    grid_file: Output,
    best: Output,
    partial: Partial = None,
) -> None:
    """Try every choice of `grid` on the tuning set from the originals numbered `on`; the least Avg. Gap wins.

    grid: values of learning_rate, step (epochs, or null for no scheduler) and of the method's own hyperparameters.
    retrained: outputs of the models retrained without the tuning set, whose mean is what the gap is measured against;
    the attack in the gap is FT AUC. `grid_file` gets the whole grid as CSV, a row per choice and original, `best` the
    choice as JSON. A choice that diverges on any original cannot win; where all do, the first is taken.
    """
    judge = load_judge(dataset, signals, signal, gamma)
    unlearner = Unlearner(dataset, originals, forget, forget_name, adversarial, unlearning)
    tuning = len(unlearner.forget) - 1
    with h5py.File(retrained) as file:
        standard = _measure(judge, file["logits"][:], unlearner.forget[tuning]).mean(axis=0)
    choices = list(_choices(grid))
    plan = [Run(o, tuning, 0, choice) for choice in choices for o in on]
    measured = np.concatenate(
        [
            _measure(judge, models.predict(unlearner.images).numpy(), unlearner.forget[tuning])
            for models, _ in unlearner.run(plan, stack, partial)
        ]
    )
    gaps = average_gap(measured, standard)
    rows = pd.DataFrame(measured, columns=list(CRITERION)).assign(average_gap=gaps)
    numbers = pd.DataFrame(
        [_columns(r.choice) | {"original": r.original} for r in plan],
    )
    pd.concat([numbers, rows], axis=1).to_csv(grid_file, index=False, float_format="%.6f", lineterminator="\n")
    per_choice = gaps.reshape(len(choices), len(on)).mean(axis=1)
    winner = int(np.nanargmin(per_choice)) if not np.isnan(per_choice).all() else 0
    gap = None if math.isnan(per_choice[winner]) else float(per_choice[winner])
    text = json.dumps(asdict(choices[winner]) | {"average_gap": gap, "choices": len(choices)}, indent=1)
    best.write_text(text + "\n")


def _measure(judge: Judge, logits: np.ndarray, forget: np.ndarray) -> np.ndarray:
    """(models, 4) metrics of the tuning criterion of (models, N, classes) logits."""
    scores = judge.membership(logits)
    measured = [judge.metrics(model, score, forget) for model, score in zip(logits, scores, strict=True)]
    return np.array([[m[name] for name in CRITERION] for m in measured])


def _choices(grid: dict[str, list[Any]]) -> list[Choice]:
    """All combinations of the grid's values, in the order of its keys."""
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [Choice(Schedule(p.pop("learning_rate"), p.pop("step")), p) for p in points]


def _columns(choice: Choice) -> dict[str, Any]:
    """A choice as columns of the grid's CSV."""
    schedule = {"learning_rate": repr(choice.schedule.learning_rate), "step": choice.schedule.step or "none"}
    return schedule | {name: canonical(value) for name, value in choice.hyperparameters.items()}


if __name__ == "__main__":
    main(tune)
