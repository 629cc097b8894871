"""Step: what the paper claims in words, each with what was measured and whether it held.

No claim is made to hold: each is compared by a rule that is written in its row.
"""

import math
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from amun_steps.judging.comparison import CLUSTERS, Difference, difference, within
from amun_steps.store.step import Output, main, step
from amun_steps.views.runs import read_runs
from amun_steps.views.tables import ACCESS
from amun_steps.views.theorem import check

PRIOR = ("ft", "rl", "ga", "bs", "l1_sparse", "salun")
SUBSTITUTES = ("adv_rs", "adv_rl", "orig_rl", "orig_advl")
ROUNDING = 1e-9
"""What a number may be below 0 where 0 is allowed."""


def claim(
    source: str,
    text: str,
    where: str,
    measured: Difference | float,
    rule: str,
    unit: str,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> dict:
    """A row: what was `measured`, in `unit`, and whether it lies between `above` and `below`.

    held: its whole interval does, `low` to `high`; failed: none of it does; undecided: a part of it does, or what was
    measured has no interval, as there is one set and one original. A plain number is one without chance, and has no
    interval in its row. Empty where there is nothing measured: all that it is of has diverged.
    """
    if isinstance(measured, Difference):
        mean, *interval = measured.mean, measured.low, measured.high
        low, high = interval
    else:
        mean = low = high = float(measured)
        interval = [math.nan, math.nan]
    if math.isnan(mean):
        held = ""
    elif above < low and high < below:
        held = "held"
    elif high <= above or low >= below:
        held = "failed"
    else:
        held = "undecided"
    keys = ("source", "claim", "where", "measured", "low", "high", "unit", "rule", "held")
    return dict(zip(keys, (source, text, where, mean, *interval, unit, rule, held), strict=True))


def _cells(rows: pd.DataFrame, column: str, *names: str) -> pd.Series:
    """A column's mean in each cell, by levels that `difference` knows."""
    return rows.groupby(list(names))[column].mean()


def of_runs(runs: pd.DataFrame, random: Collection[str]) -> Iterator[dict]:
    """Claims about Avg. Gap, FT AUC and test accuracy, from the runs of one experiment (see `views.runs`).

    random: families whose forget sets are random samples of D. The paper has no others, and claims nothing of them.
    """
    runs = runs[runs.forget.isin(random)]
    for (access, forget), rows in runs[runs.access != ""].groupby(["access", "forget"], sort=False):
        where = f"{rows.experiment.iloc[0]}, {forget}, {ACCESS[access]}"
        for mia, source in (("ft_auc", "6.1"), ("mis", "G")):
            gap, named = f"average_gap_{mia}", f"Avg. Gap ({mia})"
            prior = rows[rows.method.isin(PRIOR)].groupby("method")[gap].mean().dropna()
            if "amun" not in set(rows.method) or prior.empty:
                continue
            best = prior.idxmin()
            yield _less(
                rows, gap, named, "amun", best, source, "AMUN has a lower Avg. Gap than the best prior method", where
            )
            told = [("D", "AMUN+SalUn is better than SalUn", "amun_salun", "salun")]
            if access == "without_remain":
                told.append(("D", "Without D_R AMUN+SalUn is better than AMUN", "amun_salun", "amun"))
            if mia == "ft_auc":
                for variant, section in (("amun_transferred", "F.4"), ("amun_ffgsm", "F.5")):
                    told.append((section, f"AMUN is better than {variant}", "amun", variant))
                    told.append((section, f"{variant} still beats the best prior method", variant, best))
            for section, text, name, other in told:
                if {name, other} <= set(rows.method):
                    yield _less(rows, gap, named, name, other, section, text, where)
        if "amun" in set(rows.method):
            text, measured = "After AMUN an attack guesses: FT AUC is 50", rows[rows.method == "amun"]
            yield _guesses("6.1, 6.2.2", text, where, difference(_cells(measured, "ft_auc", *CLUSTERS)))
        if {"amun", "amun_transferred"} <= set(rows.method):
            text = "Transferred adversarial examples cost test accuracy"
            yield _less(rows, "test_accuracy", "test accuracy", "amun_transferred", "amun", "F.4", text, where)
    for forget, rows in runs[runs.method == "retrained"].groupby("forget", sort=False):
        text, where = "An attack on retrained models guesses: FT AUC is 50", f"{rows.experiment.iloc[0]}, {forget}"
        yield _guesses("5.2", text, where, difference(_cells(rows, "ft_auc", "replicate", "set")))


def _guesses(source: str, text: str, where: str, ft_auc: Difference) -> dict:
    return claim(source, text, where, ft_auc, "the mean over models is within 5 points of 50", "%", above=45, below=55)


def _less(
    rows: pd.DataFrame, column: str, named: str, name: str, other: str, source: str, text: str, where: str
) -> dict:
    """The claim that a column is lower for the method `name` than for `other`, paired by set and original."""
    one, another = (_cells(rows[rows.method == method], column, *CLUSTERS) for method in (name, other))
    rule = f"{named} of {name} - that of {other} < 0"
    return claim(source, text, where, difference(one - another), rule, "points", below=0)


def of_clipped(clipped: pd.DataFrame, plain: pd.DataFrame) -> Iterator[dict]:
    """6.2.2: FR AUC of retrained models whose layers are clipped is low, against others without the same sets."""
    for forget in clipped.forget.unique():
        both = [runs[(runs.method == "retrained") & (runs.forget == forget)] for runs in (clipped, plain)]
        if any(rows.empty for rows in both):
            continue
        one, another = (_cells(rows, "fr_auc", "replicate", "set") for rows in both)
        text, rule = "FR AUC of clipped retrained models is lower", "that of clipped - that of other models < 0"
        where = f"{clipped.experiment.iloc[0]}, {forget}"
        yield claim("6.2.2", text, where, difference(one - another), rule, "points", below=0)


def of_fine_tuning(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """Key Observation 2 and section 6.2.1, from a figure of fine-tuning."""
    alone = rows[rows.panel == 3].pivot(index="epoch", columns="set", values="mean")
    last, first = alone.iloc[-1], alone.iloc[0]
    others = last.reindex(SUBSTITUTES).dropna()  # not those of which all have diverged, nor what two classes have not
    text = "Fine-tuned on D_A alone, a model keeps more test accuracy than on any substitute"
    best = "any" if others.empty else f"{others.idxmax()}, the best"
    rule = f"final test accuracy on D_A - that on {best} substitute, > 0"
    yield claim("6.2.1", text, name, last.adv - others.max(), rule, "points", above=0)
    text, rule = "Fine-tuning on D_A alone does not lead to catastrophic forgetting", "it loses less than 10 points"
    yield claim("3.2", text, name, first.adv - last.adv, rule, "points lost", below=10)


def of_requests(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """Section 6.3 and Appendix H, from a figure of requests that shows FR AUC - FT AUC.

    Differences are within a sequence; the intervals are about other sequences.
    """
    for title, panel in rows.groupby("title", sort=False):
        values = panel.pivot(index=["request", "set"], columns="method", values="value")
        where = f"{name}, {title.replace('$', '')}"
        pairs = (
            ("AMUN is better than all prior methods after every request", "amun", PRIOR),
            ("AMUN-A is better than all prior methods after every request", "amun_adaptive", PRIOR),
            ("AMUN-A is at least as good as AMUN after every request", "amun_adaptive", ("amun",)),
        )
        for text, method, prior in pairs:
            others = [m for m in values if m in prior]
            if method in values and others:
                margins = values[others].rsub(values[method], axis=0)
                if prior == ("amun",):  # after the first request they are one model
                    margins = margins.drop(index=1)
                if len(margins):
                    least, rule = _least(margins)
                    rule = f"margin of {method} in FR AUC - FT AUC >= 0 after each{rule}"
                    yield claim("6.3", text, where, least, rule, "points", above=-ROUNDING)
        for method in ("amun", "amun_adaptive"):
            if method in values and panel.request.nunique() > 1:
                of_sequence = values[method].unstack("set")
                change = of_sequence.iloc[-1] - of_sequence.iloc[0]
                text = f"The effectiveness of {method} decreases with the number of requests"
                rule = "FR AUC - FT AUC after the last request - that after the first < 0"
                yield claim("H", text, where, difference(change), rule, "points", below=0)


def _least(margins: pd.DataFrame) -> tuple[Difference | float, str]:
    """Of margins (rows: request and set; columns: other methods) the one by which a claim about all of them stands or
    falls, and which that is: one that is wholly below 0, or else the one that reaches down farthest. NaN where nothing
    is left after some request: it, or all others, have diverged."""
    left = margins.groupby("request").mean().stack().dropna().index
    if len(left.unique("request")) < len(margins.index.unique("request")):
        return math.nan, ""
    found = {(request, other): difference(margins.loc[request, other]) for request, other in left}

    def reach(which: tuple[int, str]) -> tuple[bool, float]:
        of = found[which]
        return not of.high < -ROUNDING, of.mean if math.isnan(of.low) else of.low

    which = min(found, key=reach)
    return found[which], f": after request {which[0]}, to {which[1]}"


def of_confidence(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """F.1 and F.1.1: on retrained and on unlearned models D_F looks like unseen samples."""
    for title, panel in rows[rows.part.notna()].groupby("title", sort=False):
        if title.startswith("Before"):
            continue
        mean = panel.reindex(columns=["part", "mean"]).groupby("part")["mean"].first()  # no mean where all diverged
        measured = abs(mean.forget - mean.test) - abs(mean.forget - mean.remain)
        rule = "distance of D_F's mean confidence from the test set's - from D_R's < 0"
        text = "The confidence on D_F is nearer to that on the test set than to that on D_R"
        yield claim("F.1", text, f"{name}, {title}", measured, rule, "log odds", below=0)


def of_distances(
    rows: pd.DataFrame, name: str, source: str, text: str, *, above: float = -math.inf, below: float = math.inf
) -> Iterator[dict]:
    """Claims about a figure's points: that more than `above` percent of them lie above the line x = y, or fewer than
    `below` percent under it, by the paper's numbers. A point on it, of an image that is misclassified as it is, does
    neither.

    Images are the same for all originals: the interval is about other originals.
    """
    points = rows[rows.x.notna() & rows.y.notna()]
    counted = points.y > points.x if above > 0 else points.y < points.x
    shares = within(difference(100 * counted.groupby(points.original).mean()), 0, 100)
    rule = f"more than {above:g}%" if above > 0 else f"less than {below:g}%"
    yield claim(source, text, name, shares, rule, "% of images", above=above, below=below)


def of_epsilons(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """E.1: the work of Algorithm 1 on all of D."""
    for title, panel in rows.groupby("title", sort=False):
        runs = panel.runs_of_the_attack.iloc[0]
        text = "Algorithm 1 on all of D takes less than three runs of its attack"
        yield claim("E.1", text, f"{name}, {title}", runs, "less than 3", "runs", below=3)


def of_figure(kind: str, rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """The claims about one figure of the config, from its plotted numbers."""
    if kind == "fine_tuning":
        yield from of_fine_tuning(rows, name)
    elif kind == "requests":
        yield from of_requests(rows, name)
    elif kind == "epsilons":
        yield from of_epsilons(rows, name)
    elif kind == "attack_distances":
        yield from of_distances(rows, name, "F.5", "FFGSM's adversarial examples are hardly ever nearer", below=4)
    elif kind == "unlearned_confidence":
        yield from of_confidence(rows, name)
    elif kind == "retrained_confidence":
        yield from of_confidence(rows, name)
        yield from of_distances(rows, name, "6.2.2", "Clipped models' adversarial examples are farther", above=97)


def of_theorem() -> Iterator[dict]:
    """Theorem 4.1, where its assumptions hold exactly (see `amun_steps.views.theorem`)."""
    found = check(100, seed=0)
    text = "The bound on the distance from the retrained model holds"
    rule = "least slack over 100 samples >= 0"
    yield claim("4.1", text, "linear model, squared hinge", found.slack.min(), rule, "", above=-ROUNDING)


@step
def claims(
    *,
    runs: list[Path],
    figures: list[Path],
    kinds: dict[str, str],
    clipped: dict[str, str],
    random: list[str],
    output: Output,
) -> None:
    """Write a row of CSV per claim. runs: views of runs. figures: plotted numbers of figures; kinds: by their names.

    clipped: the experiments with clipped models, by name, and those that they are compared with. random: the families
    of forget sets that are random samples.
    """
    experiments = {path.stem: read_runs(path) for path in runs}
    rows = [row for found in experiments.values() for row in of_runs(found, random)]
    for name, plain in clipped.items():
        rows += of_clipped(experiments[name], experiments[plain])
    for path in figures:
        rows += of_figure(kinds[path.stem], pd.read_csv(path), path.stem)
    rows += of_theorem()
    pd.DataFrame(rows).to_csv(output, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main(claims)
