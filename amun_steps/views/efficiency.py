"""What a method saves against retraining, by the seconds in the receipts of the jobs that were run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from amun_steps.store.receipts import read_receipt


@dataclass(frozen=True)
class Timed:
    """The files, by their paths in the store, of a method's models for a family of forget sets, and of what it is held
    against; they need not be there as long as their receipts are.

    unlearned: the outputs of all `runs` unlearned models. retrained: those of `retrained_each` models for each set.
    adversarial: D_A of each original, of a method that needs it.
    """

    experiment: str
    method: str
    access: str
    forget: str
    replicate: int
    unlearned: str
    runs: int
    retrained: list[str]
    retrained_each: int
    adversarial: list[str]


KEYS = ["experiment", "method", "access", "forget"]
COLUMNS = [
    *KEYS,
    "replicate",
    "retrain_seconds",
    "unlearn_seconds",
    "once_seconds",
    "efficiency",
    "efficiency_first",
    "device",
]


def efficiency(timed: Sequence[Timed]) -> pd.DataFrame:
    """COLUMNS, a row for each of `timed`: the seconds that one model takes, and how many times less than retraining.

    retrain_seconds: to train a model on D_R. unlearn_seconds: to unlearn a set from an original, for every request
    anew. once_seconds: to find an original's adversarial examples, which are made once for all requests; 0 for a method
    without. efficiency is retrain / unlearn, Cadet et al.'s (2024) RTE; efficiency_first is retrain / (unlearn + once):
    that of a single request. Neither has the search for hyperparameters in it.

    NaN where a receipt is missing or of a job that went on after an interruption, whose seconds are those of its last
    attempt; and efficiencies where the jobs ran on more than one kind of device.
    """
    rows = []
    for of in timed:
        seconds, devices = [], set()
        for paths, models in (
            (of.retrained, of.retrained_each * len(of.retrained)),
            ([of.unlearned], of.runs),
            (of.adversarial, len(of.adversarial)),
        ):
            receipts = [read_receipt(Path(path)) for path in paths]
            known = all(r and not r.get("resumed") for r in receipts)
            seconds.append(sum(r["seconds"] for r in receipts) / max(models, 1) if known else math.nan)
            devices |= {r["device"] for r in receipts if r}
        retrain, unlearn, once = seconds
        comparable = retrain if len(devices) == 1 else math.nan
        saved = comparable / unlearn, comparable / (unlearn + once)
        rows.append([*(getattr(of, key) for key in (*KEYS, "replicate")), *seconds, *saved, ", ".join(sorted(devices))])
    return pd.DataFrame(rows, columns=COLUMNS)
