"""Step: what all judges say of all runs: their judgements as CSV, what methods save, and a table of both."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from amun_steps.store.step import Output, main, step
from amun_steps.views.efficiency import KEYS, Timed
from amun_steps.views.efficiency import efficiency as efficiency_of
from amun_steps.views.judges import ENOUGH
from amun_steps.views.runs import read_runs
from amun_steps.views.tables import ACCESS, METHODS, aligned

SHOWN = {
    "average_gap_ft_auc": ("Avg. Gap", 2),
    "ft_auc": ("FT AUC", 2),
    "lira_auc": ("LiRA AUC", 2),
    "lira_tpr_at_1_fpr": ("LiRA TPR at 1% FPR", 2),
    "u_lira_auc": ("U-LiRA AUC", 2),
    "tow": ("ToW", 3),
    "jsd": ("JSD", 3),
    "epsilon": ("Epsilon", 2),
    "epsilon_score": ("Epsilon score", 3),
    "klom_forget": ("KLoM D_F", 2),
    "klom_remain": ("KLoM D_R", 2),
    "klom_test": ("KLoM test", 2),
    "efficiency": ("Efficiency", 1),
    "efficiency_first": ("Efficiency, first", 1),
}
"""The columns of the table, each with its title and decimals: of runs, of judgements and of efficiencies. One that says
nothing of any line is left out."""

SETS = [*KEYS, "replicate", "set"]
"""What a judgement of many models is of."""

OF_RUNS = ("average_gap_ft_auc", "ft_auc")
OTHERS = {"retrained": "Retrain", "original": "Original"}


def summarise(judged: pd.DataFrame, runs: pd.DataFrame, saved: pd.DataFrame) -> pd.DataFrame:
    """A line for each experiment, forget set, access and method, with mean, std (over n - 1) and count of each judge of
    SHOWN over its runs, or over its sets, and `diverged`, the runs that did; in the order of `runs`.

    runs: rows of views of runs. saved: efficiencies. A judge says nothing of a run that diverged, and epsilon and KLoM
    nothing of fewer models than ENOUGH.
    """
    fewest = judged.join(compared(judged).min(axis=1).rename("fewest"), on=SETS).fewest
    judged = judged[fewest >= judged.judge.str.partition("_")[0].map(ENOUGH).fillna(0)]
    melted = runs.melt([*KEYS, "diverged"], list(OF_RUNS), var_name="judge")
    efficient = saved.melt(KEYS, ["efficiency", "efficiency_first"], var_name="judge")
    everything = pd.concat([melted, judged, efficient])[[*KEYS, "judge", "value"]]
    statistics = ["mean", "std", "count"]
    found = everything.groupby([*KEYS, "judge"]).value.agg(statistics).unstack("judge")
    found = found.reindex(columns=pd.MultiIndex.from_product([statistics, SHOWN]))
    found.columns = [f"{judge}_{name}" for name, judge in found.columns]
    return runs.groupby(KEYS, sort=False).diverged.sum().to_frame().join(found).reset_index()


def compared(judged: pd.DataFrame) -> pd.DataFrame:
    """How many models epsilon and KLoM compared in each of SETS: `models`, with `retrained`; of retrained models, their
    halves. Those that diverged are none."""
    models = judged[judged.judge == "lira_auc"].groupby(SETS).value.count().rename("models").reset_index()
    keys = [name for name in SETS if name not in ("method", "access")]
    retrained = models[models.method == "retrained"].set_index(keys).models
    found = models.join(retrained.rename("retrained"), on=keys)
    found["models"] = found.models.mask(found.method == "retrained", found.models // 2)
    found["retrained"] = found.retrained.mask(found.method == "retrained", found.retrained - found.models)
    return found.set_index(SETS)


def markdown(summary: pd.DataFrame, judged: pd.DataFrame, labels: Mapping[str, str], references: Sequence[int]) -> str:
    """The table as Markdown that is aligned for a terminal. labels: what each family of forget sets is called."""
    several = summary.experiment.nunique() > 1
    shown = {judge: how for judge, how in SHOWN.items() if summary[f"{judge}_mean"].notna().any()}
    head = [*(["Experiment"] if several else []), "Forget", "Access", "Method", *(title for title, _ in shown.values())]
    body = []
    for _, line in summary.iterrows():
        name = OTHERS.get(line.method) or METHODS.get(line.method, line.method)
        cells = [line.experiment] if several else []
        cells += [labels[line.forget], ACCESS.get(line.access, ""), name + ("†" if line.diverged else "")]
        body.append(cells + [_cell(line, judge, decimals) for judge, (_, decimals) in shown.items()])
    return "\n".join([caption(summary, judged, references), "", *aligned(head, body)]) + "\n"


def _cell(line: pd.Series, judge: str, decimals: int) -> str:
    """'mean ± std', the mean alone of one value, nothing where a judge has none."""
    mean, spread = line[f"{judge}_mean"], line[f"{judge}_std"]
    numbers = [f"{number:.{decimals}f}" for number in (mean, spread) if not pd.isna(number)]
    return " ± ".join(numbers)


def caption(summary: pd.DataFrame, judged: pd.DataFrame, references: Sequence[int]) -> str:
    """What the reader has to know, in one paragraph."""
    text = (
        "All judges, best where Retrain is: mean and standard deviation over runs; of epsilon and KLoM, over forget"
        " sets. AUC and TPR in percent, JSD and KLoM in nats. Retrain: each model against the others without the same"
        f" set. LiRA and RMIA (FT AUC) had {_range(references)} reference models."
    )
    text += _of_many(summary, compared(judged))
    if summary.efficiency_mean.notna().any():
        text += (
            " Efficiency: seconds of retraining for one of unlearning; first: with what is done once for all requests,"
            " the search for adversarial examples."
        )
    if summary.diverged.any():
        text += " † Some runs diverged: they are in no mean."
    return text


def _of_many(summary: pd.DataFrame, models: pd.DataFrame) -> str:
    """What epsilon and KLoM are of, and where they are too few.

    models: how many they compared (see `compared`).
    """
    unlearned, retrained = map(_range, models.query("method not in @OTHERS").to_numpy().T)
    text = (
        f" Epsilon and KLoM are of {unlearned} unlearned and {retrained} retrained models a set; their authors have 512"
        " and 100 of each."
    )
    epsilon, klom = (summary[f"{judge}_mean"].notna().any() for judge in ("epsilon", "klom_forget"))
    if epsilon:
        enough = models[models.min(axis=1) >= ENOUGH["epsilon"]]
        most = max(math.log(max(n - n / m, m - m / n)) for n, m in enough.to_numpy())
        text += (
            f" By chance alone epsilon is about 1.6; {most:.1f} is the most that so many show, but for 50: two kinds"
            " that never overlap."
        )
    if klom:
        text += " KLoM is above 0 by chance, the more the fewer there are."
    if epsilon or klom:
        text += " Of retrained models they are of one half against the other."
    fewest = models.query("method not in @OTHERS").min(axis=None)
    for judge, title in (("epsilon", "epsilon"), ("klom", "KLoM")):
        if fewest < ENOUGH[judge]:
            text += f" Of fewer than {ENOUGH[judge]} of each, {title} tells only how few they are, and is not shown."
    return text


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


@step
def judgements(
    *,
    judged: list[Path],
    runs: list[Path],
    replicates: list[int],
    timed: list[Timed],
    labels: dict[str, str],
    references: dict[str, int],
    csv: Output,
    efficiency: Output,
    markdown_file: Output,
) -> None:
    """Write all judgements, the efficiency of each method, and a table of both beside Avg. Gap and FT AUC.

    judged: files of judgements (see `amun_steps.steps.judge`). replicates: which one of its experiment each is of.
    runs: views of the runs of the same experiments. labels: what families of forget sets are called. references: RMIA's
    and LiRA's reference models in each experiment.
    """
    parts = [read_runs(path).assign(replicate=n) for path, n in zip(judged, replicates, strict=True)]
    everything, of_runs = (pd.concat(found, ignore_index=True) for found in (parts, map(read_runs, runs)))
    saved = efficiency_of(timed)
    everything.to_csv(csv, index=False, float_format="%.6f", lineterminator="\n")
    saved.to_csv(efficiency, index=False, float_format="%.3f", lineterminator="\n")
    summary = summarise(everything, of_runs, saved)
    markdown_file.write_text(markdown(summary, everything, labels, list(references.values())), encoding="utf-8")


if __name__ == "__main__":
    main(judgements)
