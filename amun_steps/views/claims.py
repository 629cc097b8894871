"""Step: what the paper claims in words, each with what was measured and whether it held.

No claim is made to hold: each is compared by a rule that is written in its row.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from amun_steps.store.step import Output, main, step
from amun_steps.views.runs import read_runs
from amun_steps.views.tables import ACCESS
from amun_steps.views.theorem import check

PRIOR = ("ft", "rl", "ga", "bs", "l1_sparse", "salun")
SUBSTITUTES = ("adv_rs", "adv_rl", "orig_rl", "orig_advl")


def claim(
    source: str, text: str, where: str, measured: float, spread: float, rule: str, held: bool | float, unit: str
) -> dict:
    """A row: `measured`, its `spread` (a standard error; NaN where there is none) in `unit`, and whether it held; NaN
    where that cannot be said."""
    keys = ("source", "claim", "where", "measured", "spread", "unit", "rule", "held")
    return dict(zip(keys, (source, text, where, measured, spread, unit, rule, held), strict=True))


def _error(means: pd.Series) -> float:
    """The standard error of a mean of the means of forget sets, since the runs of one set are not independent."""
    return means.std(ddof=1) / np.sqrt(means.count())  # NaN for one set


def of_runs(runs: pd.DataFrame) -> Iterator[dict]:
    """Claims about Avg. Gap, FT AUC and test accuracy, from the runs of one experiment (see `views.runs`)."""
    for (access, forget), rows in runs[runs.access != ""].groupby(["access", "forget"], sort=False):
        where = f"{rows.experiment.iloc[0]}, {forget}, {ACCESS[access]}"
        for mia, source in (("ft_auc", "6.1"), ("mis", "G")):
            gap, named = f"average_gap_{mia}", f"Avg. Gap ({mia})"
            prior = rows[rows.method.isin(PRIOR)].groupby("method")[gap].mean().dropna()
            if "amun" not in set(rows.method) or prior.empty:
                continue
            best = prior.idxmin()
            yield _less(
                rows, gap, named, "amun", best, source, "AMUN has a lower Avg. Gap than all prior methods", where
            )
            told = [("D", "AMUN+SalUn is better than SalUn", "amun_salun", "salun")]
            if access == "without_remain":
                told.append(("D", "Without D_R AMUN+SalUn is better than AMUN", "amun_salun", "amun"))
            if mia == "ft_auc":
                for variant, section in (("amun_transferred", "F.4"), ("amun_ffgsm", "F.5")):
                    told.append((section, f"AMUN is better than {variant}", "amun", variant))
                    if access == "without_remain":
                        told.append((section, f"{variant} still beats all prior methods", variant, best))
            for section, text, name, other in told:
                if {name, other} <= set(rows.method):
                    yield _less(rows, gap, named, name, other, section, text, where)
        if {"amun", "amun_transferred"} <= set(rows.method):
            text = "Transferred adversarial examples cost test accuracy"
            yield _less(rows, "test_accuracy", "test accuracy", "amun_transferred", "amun", "F.4", text, where)
    for forget, rows in runs[runs.method == "retrained"].groupby("forget", sort=False):
        mean, error = rows.ft_auc.mean(), _error(rows.groupby("set").ft_auc.mean())
        rule = "50 is within two standard errors of the mean over models"
        where = f"{rows.experiment.iloc[0]}, {forget}"
        held = abs(mean - 50) <= 2 * error if np.isfinite(error) else float("nan")
        yield claim("5.2", "An attack on retrained models guesses: FT AUC is 50", where, mean, error, rule, held, "%")


def _less(
    rows: pd.DataFrame, column: str, named: str, name: str, other: str, source: str, text: str, where: str
) -> dict:
    """The claim that the mean of a column is lower for the method `name` than for `other`, paired by forget set."""
    means = rows.groupby("method")[column].mean()
    of_sets = rows.groupby(["set", "method"])[column].mean().unstack()
    measured, spread = means[name] - means[other], _error(of_sets[name] - of_sets[other])
    rule = f"{named} of {name} - that of {other} < 0"
    return claim(source, text, where, measured, spread, rule, _below_zero(measured), "points")


def _below_zero(measured: float) -> bool | float:
    """Whether a difference is below 0; NaN where everything that it is of has diverged."""
    return measured < 0 if np.isfinite(measured) else float("nan")


def of_clipped(clipped: pd.DataFrame, plain: pd.DataFrame) -> Iterator[dict]:
    """6.2.2: FR AUC of retrained models whose layers are clipped is low, against that of other models."""
    for forget in clipped.forget.unique():
        values = [runs[(runs.method == "retrained") & (runs.forget == forget)] for runs in (clipped, plain)]
        if any(rows.empty for rows in values):
            continue
        measured = values[0].fr_auc.mean() - values[1].fr_auc.mean()
        errors = [_error(rows.groupby("set").fr_auc.mean()) for rows in values]
        text, rule = "FR AUC of clipped retrained models is lower", "that of clipped - that of other models < 0"
        where = f"{clipped.experiment.iloc[0]}, {forget}"
        yield claim("6.2.2", text, where, measured, np.hypot(*errors), rule, _below_zero(measured), "points")


def of_fine_tuning(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """Key Observation 2 and section 6.2.1, from a figure of fine-tuning."""
    alone = rows[rows.panel == 3].pivot(index="epoch", columns="set", values="mean")
    last, first = alone.iloc[-1], alone.iloc[0]
    best = last[list(SUBSTITUTES)].idxmax()
    spread = float("nan")
    text = "Fine-tuned on D_A alone, a model keeps more test accuracy than on any substitute"
    rule = f"final test accuracy on D_A - that on {best}, the best substitute, > 0"
    yield claim("6.2.1", text, name, last.adv - last[best], spread, rule, last.adv > last[best], "points")
    text, rule = "Fine-tuning on D_A alone does not lead to catastrophic forgetting", "it loses less than 10 points"
    lost = first.adv - last.adv
    yield claim("3.2", text, name, lost, spread, rule, lost < 10, "points lost")


def of_requests(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """Section 6.3 and Appendix H, from a figure of requests that shows FR AUC - FT AUC.

    Spreads are of differences within a sequence, over sequences.
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
                by_request = values[others].rsub(values[method], axis=0).groupby("request")
                margins, rule = by_request.mean().stack().dropna(), f"least margin of {method} in FR AUC - FT AUC >= 0"
                least, spread, held = (float("nan"),) * 3  # where all have diverged
                if not margins.empty:
                    request, other = margins.idxmin()
                    rule += f": after request {request}, to {other}"
                    least, held, spread = margins.min(), margins.min() >= 0, by_request.sem().loc[request, other]
                yield claim("6.3", text, where, least, spread, rule, held, "points")
        for method in ("amun", "amun_adaptive"):
            if method in values:
                of_sequence = values[method].unstack("set")
                change = of_sequence.iloc[-1] - of_sequence.iloc[0]
                text = f"The effectiveness of {method} decreases with the number of requests"
                rule = "FR AUC - FT AUC after the last request - that after the first < 0"
                held = _below_zero(change.mean())
                yield claim("H", text, where, change.mean(), _error(change), rule, held, "points")


def of_confidence(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """F.1 and F.1.1: on retrained and on unlearned models D_F looks like unseen samples."""
    for title, panel in rows[rows.part.notna()].groupby("title", sort=False):
        if title.startswith("Before"):
            continue
        mean = panel.groupby("part")["mean"].first()
        measured = abs(mean.forget - mean.test) - abs(mean.forget - mean.remain)
        rule = "distance of D_F's mean confidence from the test set's - from D_R's < 0"
        text = "The confidence on D_F is nearer to that on the test set than to that on D_R"
        yield claim("F.1", text, f"{name}, {title}", measured, float("nan"), rule, measured < 0, "log odds")


def of_distances(rows: pd.DataFrame, name: str, source: str, text: str, least: float) -> Iterator[dict]:
    """Claims about how many of a figure's points lie above the line x = y; `least` is the paper's share in percent."""
    points = rows[rows.x.notna()]
    share = 100 * (points.y > points.x).mean()
    spread = np.sqrt(share * (100 - share) / len(points))
    yield claim(source, text, name, share, spread, f"more than {least:g}%", share > least, "% of images")


def of_epsilons(rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """E.1: the work of Algorithm 1 on all of D."""
    for title, panel in rows.groupby("title", sort=False):
        runs = panel.runs_of_the_attack.iloc[0]
        text = "Algorithm 1 on all of D takes less than three runs of its attack"
        yield claim("E.1", text, f"{name}, {title}", runs, float("nan"), "less than 3", runs < 3, "runs")


def of_figure(kind: str, rows: pd.DataFrame, name: str) -> Iterator[dict]:
    """The claims about one figure of the config, from its plotted numbers."""
    if kind == "fine_tuning":
        yield from of_fine_tuning(rows, name)
    elif kind == "requests":
        yield from of_requests(rows, name)
    elif kind == "epsilons":
        yield from of_epsilons(rows, name)
    elif kind == "attack_distances":
        yield from of_distances(rows, name, "F.5", "FFGSM's adversarial examples are farther than PGD-50's", 96)
    elif kind == "unlearned_confidence":
        yield from of_confidence(rows, name)
    elif kind == "retrained_confidence":
        yield from of_confidence(rows, name)
        yield from of_distances(rows, name, "6.2.2", "Clipped models' adversarial examples are farther", 97)


def of_theorem() -> Iterator[dict]:
    """Theorem 4.1, where its assumptions hold exactly (see `amun_steps.views.theorem`)."""
    found = check(100, seed=0)
    text = "The bound on the distance from the retrained model holds"
    rule = "least slack over 100 samples >= 0"
    yield claim(
        "4.1", text, "linear model, squared hinge", found.slack.min(), float("nan"), rule, found.slack.min() >= 0, ""
    )


@step
def claims(
    *,
    runs: list[Path],
    figures: list[Path],
    kinds: dict[str, str],
    clipped: dict[str, str],
    output: Output,
) -> None:
    """Write a row of CSV per claim. runs: views of runs. figures: plotted numbers of figures; kinds: by their names.

    clipped: the experiments with clipped models, by name, and those that they are compared with.
    """
    experiments = {path.stem: read_runs(path) for path in runs}
    rows = [row for found in experiments.values() for row in of_runs(found)]
    for name, plain in clipped.items():
        rows += of_clipped(experiments[name], experiments[plain])
    for path in figures:
        rows += of_figure(kinds[path.stem], pd.read_csv(path), path.stem)
    rows += of_theorem()
    pd.DataFrame(rows).to_csv(output, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main(claims)
