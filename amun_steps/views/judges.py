"""What methods are compared by: every judge of runs, as a distance that is 0 for a perfect method."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from amun_steps.judging.comparison import CLUSTERS
from amun_steps.views.runs import read_runs

ENOUGH = {"epsilon": 20, "klom": 50}
"""The fewest unlearned and retrained models of a forget set of which a judgement of distributions over models says
anything: of so many of each, a sample by which the two are normal and a standard deviation apart is told in at least
half of the cases, at 5%, from one by which they are the same (`tests/test_judges.py`).

The largest epsilon of n and m models that are not told apart without an error is log(n - n / m): the rule with one of
n wrong, and all but one of m. That of 9 and 3 is 1.79, of 3 and 3 it is 0.69; of 20 and 20 it is 2.94. By chance alone
epsilon has a median of 1.6, and is above 2.2 by one sample of 20: of few models it tells how few they are.
"""

SETTING = ["experiment", "forget", "access"]
"""Methods are compared in the same experiment, of the same sizes of forget sets, with the same access."""


@dataclass(frozen=True)
class Judge:
    """The distance of a column of runs, or of a judgement, from what it should be: `ideal` or, without one, the mean of
    the models retrained without the same forget set.

    title: what a table calls it. decimals: of a distance in print, in points (or in what the judgement has). models:
    of how many unlearned and retrained models of a forget set it has one judgement (see ENOUGH), 0 where it has one of
    each run; where there are fewer, it is not asked.
    """

    name: str
    title: str
    column: str
    ideal: float | None = None
    decimals: int = 2
    models: int = 0

    def of(self, cells: pd.DataFrame) -> pd.Series:
        """Its distances in the cells of one method (see `distances`): those of all models of a forget set once, as they
        say nothing of how originals differ."""
        found = cells[self.name]
        return found.groupby(level=["replicate", "set"]).mean() if self.models else found


JUDGES = (
    Judge("average_gap_ft_auc", "Avg. Gap (FT AUC)", "average_gap_ft_auc", 0),
    Judge("average_gap_mis", "Avg. Gap (MIS)", "average_gap_mis", 0),
    Judge("ft_auc_to_50", "FT AUC to 50", "ft_auc", 50),
    Judge("ft_auc", "FT AUC", "ft_auc"),
    Judge("fr_auc", "FR AUC", "fr_auc"),
    Judge("tpr_at_1_fpr", "TPR at 1% FPR", "tpr_at_1_fpr"),
    Judge("lira_auc", "LiRA AUC", "lira_auc"),
    Judge("lira_tpr_at_1_fpr", "LiRA TPR at 1% FPR", "lira_tpr_at_1_fpr"),
    Judge("u_lira_auc", "U-LiRA AUC", "u_lira_auc", 50),
    Judge("mis", "MIS", "mis"),
    Judge("unlearn_accuracy", "Unlearn Acc", "unlearn_accuracy"),
    Judge("retain_accuracy", "Retain Acc", "retain_accuracy"),
    Judge("test_accuracy", "Test Acc", "test_accuracy"),
    Judge("tow", "ToW", "tow", 1, decimals=3),
    Judge("jsd", "JSD", "jsd", 0, decimals=3),
    Judge("epsilon", "Epsilon", "epsilon", 0, models=ENOUGH["epsilon"]),
    Judge("klom_forget", "KLoM D_F", "klom_forget", 0, models=ENOUGH["klom"]),
)
"""All judges, in the order of tables. The first is the one that methods are ordered by."""


def load(runs: list[Path], judged: Path | None) -> pd.DataFrame:
    """The rows of views of runs, of any experiments, with a column for each judgement of the view of judgements, if
    there is one (see `amun_steps.views.judgements`): NaN where none was asked for.

    A judgement of all models of a forget set is that of each of its runs.
    """
    rows = pd.concat([read_runs(path) for path in runs], ignore_index=True)
    if judged is None:
        return rows
    judgements = read_runs(judged)
    keys = ["method", *SETTING, "replicate", "set"]
    of_run = judgements.run.notna() | judgements.original.notna()
    for part, on in ((judgements[of_run], [*keys, "original", "run"]), (judgements[~of_run], keys)):
        rows = rows.merge(part.pivot(index=on, columns="judge", values="value").reset_index(), how="left", on=on)
    return rows


def distances(runs: pd.DataFrame) -> pd.DataFrame:
    """The distance of each method by each of JUDGES that is asked (columns) in each cell, the mean over its runs.

    runs: see `load`. Rows are indexed by SETTING, method and CLUSTERS, in the order of the runs; NaN where all runs of
    a cell diverged, or all retrained models of its set, or where a judge is not asked. `diverged` is the share of runs
    that did.
    """
    retrained = runs[runs.method == "retrained"]
    unlearned = runs[runs.access != ""]
    keys = ["experiment", "forget", "replicate", "set"]
    asked = [judge for judge in JUDGES if judge.column in runs]
    columns = sorted({judge.column for judge in asked if judge.ideal is None})
    of_sets = retrained.groupby(keys)
    standard = unlearned[keys].join(of_sets[columns].mean().assign(models=of_sets.ft_auc.count()), on=keys)
    models = unlearned.groupby([*SETTING, "method", *keys[2:]])["set"].transform("size").clip(upper=standard.models)
    found = unlearned[[*SETTING, "method", *CLUSTERS]].assign(
        diverged=unlearned.ft_auc.isna(),
        **{
            judge.name: (unlearned[judge.column] - (standard[judge.column] if judge.ideal is None else judge.ideal))
            .abs()
            .where(models >= judge.models)
            for judge in asked
        },
    )
    return found.groupby([*SETTING, "method", *CLUSTERS], sort=False).mean()


def heard(cells: pd.DataFrame) -> list[Judge]:
    """Those of JUDGES that say something of any of these cells, in their order."""
    return [judge for judge in JUDGES if judge.name in cells and cells[judge.name].notna().any()]
