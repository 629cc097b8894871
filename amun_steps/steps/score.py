"""Step: every metric of every model of one method, and the RMIA score of every sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from amun_steps.judging import mis
from amun_steps.judging.judge import load_judge
from amun_steps.judging.metrics import ties
from amun_steps.steps.forget import load_forget, load_tests
from amun_steps.store.arrays import hdf5, write_arrays
from amun_steps.store.progress import LOG, tell
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, main, step


@dataclass(frozen=True)
class Names:
    """What the runs are called in tables: names of the config, and the address of the stage that made the models."""

    experiment: str
    dataset: str
    architecture: str
    method: str
    access: str
    forget: str
    address: str


@step
def score(
    *,
    dataset: Path,
    forget: Path,
    signals: Path,
    outputs: list[Path],
    names: Names,
    signal: dict[str, Any],
    gamma: float,
    judges: Literal["all", "half"] = "all",
    seed: int,
    scores: Output,
    runs: Output,
) -> None:
    """Score the models of `outputs` against the forget sets that they are for (all sets, for original models).

    `scores` gets, per row, the `rmia` score of every sample (rows, N) and the numbers of its `original`, `set` and
    `run` (-1 where there is none); `runs` gets the same rows as CSV with all metrics in percent. A model whose logits
    are not finite has diverged: a row that says so, without metrics.
    """
    judge = load_judge(dataset, signals, signal, gamma, judges)
    sets, tests = load_forget(forget, judge.train), load_tests(forget, judge.train)
    rows, membership = [], []
    for path in outputs:
        for known, choice, logits in _models(path):
            run = ", ".join(f"{name} {number}" for name, number in known.items() if name != "seed" and number >= 0)
            LOG.info("scoring %s, %s, %s", " ".join(filter(None, (names.method, names.access))), names.forget, run)
            scored = judge.membership(logits)
            for which in range(len(sets) - 1) if known["set"] < 0 else [known["set"]]:
                draws = np.random.default_rng(seed_of(seed, "mis", which, known["original"], known["run"]))
                rows.append(
                    known
                    | {"set": which, "fraction": sets[which].sum() / judge.train.sum()}
                    | {"hyperparameters": choice, "diverged": not np.isfinite(logits).all()}
                    | {"rmia_ties": ties(scored)}
                    | judge.metrics(logits, scored, sets[which], alike=tests[which])
                    | _mis(logits, judge.labels, judge.train, sets[which], draws)
                )
                membership.append(scored)
    table = pd.DataFrame(rows).assign(**vars(names))
    numbers = {name: table[name].to_numpy() for name in ("original", "set", "run")}
    write_arrays(scores, {"rmia": np.array(membership), **numbers})
    for name in ("original", "run"):
        table[name] = table[name].map(lambda n: "" if n < 0 else n)
    table[list(COLUMNS)].to_csv(runs, index=False, float_format="%.6f", lineterminator="\n")
    tell(_said(table, names))


def _said(table: pd.DataFrame, names: Names) -> str:
    """What a person sees of the rows, long before a table is there: means over the models that did not diverge."""
    means = ", ".join(f"{title} {table[metric].mean():.2f}" for metric, title in SAID.items())
    which = " ".join(filter(None, (names.method, names.access)))
    diverged = f"; {table.diverged.sum()} diverged" if table.diverged.any() else ""
    return f"{which}, {names.forget}: {means} (mean of {(~table.diverged).sum()}{diverged})"


def _models(path: Path) -> Iterator[tuple[dict[str, int], str, np.ndarray]]:
    """Each model of an outputs file: its numbers, its choice as JSON and its (N, classes) logits. One is in memory at a
    time: 27 models of Tiny ImageNet are 2.4 GB."""
    with hdf5(path) as file:
        numbers = {name: file[name][:] for name in ("original", "set", "run", "seed")}
        for model, logits in enumerate(file["logits"]):
            yield {name: int(column[model]) for name, column in numbers.items()}, file.attrs.get("choice", "{}"), logits


def _mis(logits: np.ndarray, labels: np.ndarray, train: np.ndarray, forget: np.ndarray, draws) -> dict[str, float]:
    """MIS of each of the five features; the paper's is the confidence's, called `mis` alone."""
    remain, test = np.flatnonzero(train & ~forget), np.flatnonzero(~train)
    found = mis.scores(logits, labels, remain, np.flatnonzero(forget), test, draws)
    return {"mis" if name == "confidence" else f"mis_{name}": value for name, value in found.items()}


COLUMNS = (
    *("experiment", "dataset", "architecture", "method", "access", "forget", "fraction", "set", "original", "run"),
    *("hyperparameters", "unlearn_accuracy", "retain_accuracy", "test_accuracy", "forgotten_class_accuracy"),
    *("other_class_accuracy", "ft_auc", "fr_auc", "rt_auc"),
    *("tpr_at_1_fpr", "tpr_at_0.1_fpr", "mis", "mis_correctness", "mis_entropy", "mis_modified_entropy"),
    *("mis_probabilities", "rmia_ties", "diverged", "seed", "address"),
)
"""The columns of a run file, in order."""

SAID = {
    "unlearn_accuracy": "Unlearn Acc",
    "retain_accuracy": "Retain Acc",
    "test_accuracy": "Test Acc",
    "ft_auc": "FT AUC",
}
"""The metrics that a person sees at once, and their names."""


if __name__ == "__main__":
    main(score)
