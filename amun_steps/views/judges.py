"""What methods are compared by: every judge of runs, as a distance that is 0 for a perfect method."""

from dataclasses import dataclass

import pandas as pd

from amun_steps.judging.comparison import CLUSTERS

SETTING = ["experiment", "forget", "access"]
"""Methods are compared in the same experiment, of the same sizes of forget sets, with the same access."""


@dataclass(frozen=True)
class Judge:
    """The distance, in points, of a column of `runs` from what it should be: `ideal` or, without one, the mean of the
    models retrained without the same forget set. title: what a table calls it."""

    name: str
    title: str
    column: str
    ideal: float | None = None


JUDGES = (
    Judge("average_gap_ft_auc", "Avg. Gap (FT AUC)", "average_gap_ft_auc", 0),
    Judge("average_gap_mis", "Avg. Gap (MIS)", "average_gap_mis", 0),
    Judge("ft_auc_to_50", "FT AUC to 50", "ft_auc", 50),
    Judge("ft_auc", "FT AUC", "ft_auc"),
    Judge("fr_auc", "FR AUC", "fr_auc"),
    Judge("tpr_at_1_fpr", "TPR at 1% FPR", "tpr_at_1_fpr"),
    Judge("mis", "MIS", "mis"),
    Judge("unlearn_accuracy", "Unlearn Acc", "unlearn_accuracy"),
    Judge("retain_accuracy", "Retain Acc", "retain_accuracy"),
    Judge("test_accuracy", "Test Acc", "test_accuracy"),
)
"""All judges, in the order of tables. The first is the one that methods are ordered by."""


def distances(runs: pd.DataFrame) -> pd.DataFrame:
    """The distance of each method by each judge (columns) in each cell, the mean over its runs.

    runs: the views of runs (see `amun_steps.views.runs`), of any experiments. Rows are indexed by SETTING, method and
    CLUSTERS, in the order of the runs; NaN where all runs of a cell diverged, or all retrained models of its set.
    """
    retrained = runs[runs.method == "retrained"]
    unlearned = runs[runs.access != ""]
    keys = ["experiment", "forget", "replicate", "set"]
    columns = sorted({judge.column for judge in JUDGES if judge.ideal is None})
    standard = unlearned[keys].join(retrained.groupby(keys)[columns].mean(), on=keys)
    found = unlearned[[*SETTING, "method", *CLUSTERS]].assign(
        **{
            judge.name: (
                unlearned[judge.column] - (standard[judge.column] if judge.ideal is None else judge.ideal)
            ).abs()
            for judge in JUDGES
        }
    )
    return found.groupby([*SETTING, "method", *CLUSTERS], sort=False).mean()
