"""Step: all runs of all experiments in one table, with their Avg. Gap."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from amun_steps.judging.metrics import GAP_METRICS, average_gap
from amun_steps.store.step import Output, main, step

FAMILY = ["experiment", "replicate", "forget"]
NUMBERS = (*GAP_METRICS, "ft_auc", "mis")
TIED = 50.0
"""Where more of the samples than this, in percent, have one RMIA score, an AUC of the scores says little."""

TEXT = ("experiment", "dataset", "architecture", "method", "access", "forget", "hyperparameters", "address")
# text stays text: an address such as 012345678901 or 12e345678901 is no number, and a method may be called NA
_TYPES = dict.fromkeys(TEXT, str) | dict.fromkeys(("original", "run"), "Int64")


def read_runs(path: Path) -> pd.DataFrame:
    """The rows of a run file (see `amun_steps.steps.score`) or of a view of runs."""
    runs = pd.read_csv(path, dtype=_TYPES, keep_default_na=False, na_values=[""])
    return runs.fillna({"access": ""}) if "access" in runs else runs


def collect(paths: Sequence[Path], replicates: Sequence[int] = ()) -> pd.DataFrame:
    """The rows of run files (see `amun_steps.steps.score`), with `average_gap_ft_auc` and `average_gap_mis` in percent.

    replicates: which replicate of its experiment each file is of, from 0; all 0 where nothing is given. A view of runs
    says it by itself.

    A run's gap is the mean over unlearn, retain and test accuracy and FT AUC (or MIS) of its distance from the mean of
    the models retrained without the same forget set (section 5.2). The retrained models are the standard and have no
    gap, NaN, where a table prints 0.00. Neither has a run that diverged, nor any run of a set whose retrained models
    all diverged. Rows are in the order of `paths`. Raises ValueError, naming the file or the set, for a file that
    lacks a column or a set without retrained models.
    """
    parts = []
    for path, replicate in zip(paths, replicates or [0] * len(paths), strict=True):
        part = read_runs(path)
        needed = ("experiment", "forget", "method", "access", "set", "original", *NUMBERS, "diverged")
        missing = [name for name in needed if name not in part]
        if missing:
            raise ValueError(
                f"{path}: not a run file: lacks the columns {', '.join(missing)}; found {', '.join(part)};"
                " score its models again"
            )
        parts.append(part if "replicate" in part else part.assign(replicate=replicate))
    runs = pd.concat(parts, ignore_index=True)
    standard = runs[runs.method == "retrained"].groupby([*FAMILY, "set"])[list(NUMBERS)].mean()
    keys = pd.MultiIndex.from_frame(runs[[*FAMILY, "set"]])
    if not keys.isin(standard.index).all():
        experiment, replicate, forget, which = keys[~keys.isin(standard.index)][0]
        found = [str(s) for *family, s in standard.index if family == [experiment, replicate, forget]]
        raise ValueError(
            f"{experiment}: no retrained model for forget set {which} of {forget}, which gaps are measured against;"
            f" found retrained models for its sets: {', '.join(found) or 'none'}"
        )
    for mia in ("ft_auc", "mis"):
        columns = [*GAP_METRICS, mia]
        gaps = average_gap(runs[columns].to_numpy(), standard.loc[keys, columns].to_numpy())
        runs[f"average_gap_{mia}"] = pd.Series(gaps).where(runs.method != "retrained")
    return runs


@step
def runs(
    *,
    runs: list[Path],
    replicates: list[int] = [],  # noqa: B006 - never changed; None would need a second type
    output: Output,
) -> None:
    """Write the rows of all run files, in their order, with their gaps and replicates (see `collect`)."""
    collect(runs, replicates).to_csv(output, index=False, float_format="%.6f", lineterminator="\n")


if __name__ == "__main__":
    main(runs)
