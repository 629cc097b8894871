"""Step: what other judges than the paper's say of one method's models, from logits that are there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from amun_steps.judging import lira, u_lira
from amun_steps.judging.divergences import jensen_shannon, klom
from amun_steps.judging.epsilon import epsilons, score
from amun_steps.judging.log_odds import log_odds
from amun_steps.judging.metrics import accuracy, auc, tpr_at_fpr
from amun_steps.judging.tug_of_war import tug_of_war
from amun_steps.steps.forget import load_forget, load_tests
from amun_steps.steps.score import Names
from amun_steps.store.arrays import hdf5
from amun_steps.store.progress import LOG
from amun_steps.store.step import Output, main, step
from amun_steps.training.data import load_labels

KLOM = ("forget", "remain", "test")
"""The samples that KLoM is reported for, each with its mean and its 95th percentile."""

COLUMNS = ("experiment", "method", "access", "forget", "set", "original", "run", "judge", "value", "address")
"""The columns of a file of judgements, in order."""


@dataclass(frozen=True)
class Parts:
    """The samples of a forget set that judges look at, each (N,) bool.

    alike: the test samples that D_F is told from (see `amun_steps.judging.judge.Judge.metrics`).
    """

    forget: np.ndarray
    remain: np.ndarray
    test: np.ndarray
    alike: np.ndarray


@dataclass(frozen=True)
class Models:
    """What models that are for one forget set say. numbers: of each model. log_odds: (models, N). logits: (models, n,
    classes) of D_F. accuracies: (models, 3), shares of D_F, D_R and the test set. NaN where a model diverged."""

    numbers: list[dict[str, int]]
    log_odds: np.ndarray
    logits: np.ndarray
    accuracies: np.ndarray

    def __getitem__(self, rows: slice | Sequence[int]) -> "Models":
        numbers = [self.numbers[row] for row in np.arange(len(self.numbers))[rows]]
        return Models(numbers, self.log_odds[rows], self.logits[rows], self.accuracies[rows])

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def finite(self) -> np.ndarray:
        """(models,) bool: which have not diverged."""
        return np.isfinite(self.log_odds).all(axis=1)

    def halves(self) -> tuple["Models", "Models"]:
        """The first half of the models, rounded down, and the others."""
        return self[: len(self) // 2], self[len(self) // 2 :]


@step
def judge(
    *,
    dataset: Path,
    forget: Path,
    confidences: Path,
    outputs: list[Path],
    retrained: list[Path],
    shadows: Path | None = None,
    names: Names,
    judges: Literal["all", "half"] = "all",
    output: Output,
) -> None:
    """Judge the models of `outputs` by LiRA and against the models retrained without the same forget set.

    retrained: their outputs, a file for each set, in order. judges: all references, or the second half of them, where
    the first one chose what is forgotten. Retrained models are judged, too: each against the others without the same
    set, or, where a judge is of many models, one half of them against the other. One that diverged is no standard.
    shadows: of U-LiRA, the reference models after the same unlearning; of models that nothing was unlearned from, the
    reference models themselves, the file `confidences`. Without it U-LiRA does not judge.

    `output` gets COLUMNS as CSV, a row for each judgement; `original` and `run` are empty where it is of all models of
    a set. AUCs and true positive rates are in percent. `value` is empty where a model diverged, or where there
    are too few to compare with.
    """
    labels, train = load_labels(dataset)
    sets, tests = load_forget(forget, train), load_tests(forget, train)
    references, included = _references(confidences, judges)
    told = _shadows(shadows, judges) if shadows else ()
    rows = []
    for which in range(len(sets) - 1):  # the last one is tuning's
        LOG.info("judging %s, %s, set %d", " ".join(filter(None, (names.method, names.access))), names.forget, which)
        parts = Parts(sets[which], train & ~sets[which], ~train, tests[which])
        standard = _said([retrained[which]], which, labels, parts)
        models = standard if names.method == "retrained" else _said(outputs, which, labels, parts)
        members = lira.scores(models.log_odds, references, included)
        for m, numbers in enumerate(models.numbers):
            others = standard.finite & (np.arange(len(standard)) != m if models is standard else True)
            found = _of_model(models[[m]], members[m], standard[others], parts)
            if shadows:
                found |= _of_shadows(models[[m]], standard[others], [of[:, parts.forget] for of in told], parts)
            rows += [numbers | {"judge": name, "value": value} for name, value in found.items()]
        whole = standard[standard.finite]
        pair = whole.halves() if models is standard else (models, whole)
        found = _of_models(*pair, parts)
        rows += [{"set": which, "judge": name, "value": value} for name, value in found.items()]
    table = pd.DataFrame(rows).assign(**vars(names))
    for name in ("original", "run"):
        table[name] = table[name].where(table[name] >= 0).astype("Int64")
    table[list(COLUMNS)].to_csv(output, index=False, float_format="%.6f", lineterminator="\n")


def _references(confidences: Path, judges: Literal["all", "half"]) -> tuple[np.ndarray, np.ndarray]:
    """The (references, N) log odds of the reference models that judge, and which samples they were trained on."""
    with hdf5(confidences) as file:
        first = 0 if judges == "all" else len(file["log_odds"]) // 2
        return file["log_odds"][first:], file["included"][first:]


def _shadows(path: Path, judges: Literal["all", "half"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The (shadows, N) log odds of the shadows, which of them forgot which sample, and which were trained on it."""
    with hdf5(path) as file:
        if "forgotten" in file:
            return file["log_odds"][:], file["forgotten"][:], file["seen"][:]
    references, included = _references(path, judges)
    return references, included, included


def _said(paths: Sequence[Path], which: int, labels: np.ndarray, parts: Parts) -> Models:
    """What the models of outputs files say that are for forget set `which`, or for all sets as the originals are."""
    numbers, sure, logits, right = [], [], [], []
    for path in paths:
        for known, said in _models(path, which):
            numbers.append(known | {"set": which})
            sure.append(log_odds(said, labels))
            logits.append(said[parts.forget])
            right.append([accuracy(said, labels, of) / 100 for of in (parts.forget, parts.remain, parts.test)])
    return Models(numbers, np.array(sure), np.array(logits), np.array(right))


def _models(path: Path, which: int) -> Iterator[tuple[dict[str, int], np.ndarray]]:
    """The numbers and the (N, classes) logits of each model of an outputs file that is for a set, one at a time."""
    with hdf5(path) as file:
        numbers = {name: file[name][:] for name in ("original", "set", "run")}
        for model in np.flatnonzero((numbers["set"] == which) | (numbers["set"] < 0)):
            yield {name: int(column[model]) for name, column in numbers.items()}, file["logits"][model]


def _of_model(model: Models, members: np.ndarray, retrained: Models, parts: Parts) -> dict[str, float]:
    """One model, by LiRA's (N,) scores of it and against retrained ones."""
    found = dict.fromkeys(("lira_auc", "lira_tpr_at_1_fpr", "tow", "jsd"), np.nan)
    if model.finite.all():
        found |= _told("lira", members[parts.forget], members[parts.alike])
        if len(retrained):
            found["tow"] = tug_of_war(model.accuracies[0], retrained.accuracies.mean(axis=0))
            found["jsd"] = jensen_shannon(model.logits[0], retrained.logits)
    return found


def _of_shadows(model: Models, retrained: Models, shadows: Sequence[np.ndarray], parts: Parts) -> dict[str, float]:
    """How well U-LiRA tells a model's D_F from that of retrained models, in percent; shadows are of D_F alone."""
    found = dict.fromkeys(("u_lira_auc", "u_lira_tpr_at_1_fpr"), np.nan)
    if model.finite.all() and len(retrained):
        found = _told(
            "u_lira", *(u_lira.scores(of.log_odds[:, parts.forget], *shadows).ravel() for of in (model, retrained))
        )
    return found


def _told(judge: str, positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """What a judge's scores tell, in percent."""
    return {f"{judge}_auc": auc(positive, negative), f"{judge}_tpr_at_1_fpr": tpr_at_fpr(positive, negative, 0.01)}


def _of_models(unlearned: Models, retrained: Models, parts: Parts) -> dict[str, Any]:
    """All models of a set against all retrained without it, at least two of each: one is no distribution."""
    names = ("epsilon", "epsilon_score", *(f"klom_{of}{end}" for of in KLOM for end in ("", "_95")))
    if min(len(unlearned), len(retrained)) < 2 or not unlearned.finite.all():
        return dict.fromkeys(names, np.nan)
    told = epsilons(unlearned.log_odds[:, parts.forget], retrained.log_odds[:, parts.forget])
    useful = (of.accuracies[:, 1:].mean(axis=0) for of in (unlearned, retrained))
    found = [np.median(told), score(told, len(unlearned), *useful)]
    far = klom(unlearned.log_odds, retrained.log_odds)
    for of in KLOM:
        found += [far[getattr(parts, of)].mean(), np.percentile(far[getattr(parts, of)], 95)]
    return dict(zip(names, found, strict=True))


if __name__ == "__main__":
    main(judge)
