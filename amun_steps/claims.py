"""Step: what the paper claims in words, each with what was measured and whether it held.

No claim is made to hold: each is compared by a rule that is written in its row.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from amun_steps.runs import read_runs
from amun_steps.steps import Output, main, step
from amun_steps.tables import ACCESS
from amun_steps.theorem import check

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
    """Claims about Avg. Gap and FT AUC, from the runs of one experiment (see `amun_steps.runs`)."""
    for (access, forget), rows in runs[runs.access != ""].groupby(["access", "forget"], sort=False):
        where = f"{rows.experiment.iloc[0]}, {forget}, {ACCESS[access]}"
        for mia, source in (("ft_auc", "6.1"), ("mis", "G")):
            gaps = rows.groupby("method")[f"average_gap_{mia}"].mean()
            of_sets = rows.groupby(["set", "method"])[f"average_gap_{mia}"].mean().unstack()
            prior = gaps[gaps.index.isin(PRIOR)].dropna()
            if "amun" not in gaps or prior.empty:
                continue
            best = prior.idxmin()
            told = [(source, "AMUN has a lower Avg. Gap than all prior methods", "amun", best)]
            if mia == "ft_auc":
                for variant, section in (("amun_transferred", "F.4"), ("amun_ffgsm", "F.5")):
                    if variant in gaps:
                        told.append((section, f"AMUN is better than {variant}", "amun", variant))
                        if access == "without_remain":
                            told.append((section, f"{variant} still beats all prior methods", variant, best))
            for section, text, name, other in told:
                measured, spread = gaps[name] - gaps[other], _error(of_sets[name] - of_sets[other])
                rule = f"Avg. Gap ({mia}) of {name} - that of {other} < 0"
                held = measured < 0 if np.isfinite(measured) else float("nan")
                yield claim(section, text, where, measured, spread, rule, held, "points")
    for forget, rows in runs[runs.method == "retrained"].groupby("forget", sort=False):
        mean, error = rows.ft_auc.mean(), _error(rows.groupby("set").ft_auc.mean())
        rule = "50 is within two standard errors of the mean over models"
        where = f"{rows.experiment.iloc[0]}, {forget}"
        held = abs(mean - 50) <= 2 * error if np.isfinite(error) else float("nan")
        yield claim("5.2", "An attack on retrained models guesses: FT AUC is 50", where, mean, error, rule, held, "%")


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
    """Section 6.3, from a figure of requests that shows FR AUC - FT AUC."""
    for title, panel in rows.groupby("title", sort=False):
        means = panel.pivot(index="request", columns="method", values="mean")
        panel = panel.assign(error=panel["std"] / np.sqrt(panel["count"]))
        errors = panel.pivot(index="request", columns="method", values="error")
        pairs = (
            ("AMUN is better than all prior methods after every request", "amun", PRIOR),
            ("AMUN-A is at least as good as AMUN after every request", "amun_adaptive", ("amun",)),
        )
        for text, method, prior in pairs:
            others = [m for m in means if m in prior]
            if method in means and others:
                margins = means[others].rsub(means[method], axis=0).stack().dropna()
                where, rule = f"{name}, {title.replace('$', '')}", f"least margin of {method} in FR AUC - FT AUC >= 0"
                least, spread, held = (float("nan"),) * 3  # where all have diverged
                if not margins.empty:
                    request, other = margins.idxmin()
                    rule += f": after request {request}, to {other}"
                    least, held = margins.min(), margins.min() >= 0
                    spread = np.hypot(errors.loc[request, method], errors.loc[request, other])
                yield claim("6.3", text, where, least, spread, rule, held, "points")


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
    """Theorem 4.1, where its assumptions hold exactly (see `amun_steps.theorem`)."""
    found = check(100, seed=0)
    text = "The bound on the distance from the retrained model holds"
    rule = "least slack over 100 samples >= 0"
    yield claim(
        "4.1", text, "linear model, squared hinge", found.slack.min(), float("nan"), rule, found.slack.min() >= 0, ""
    )


@step
def claims(*, runs: list[Path], figures: list[Path], kinds: dict[str, str], output: Output) -> None:
    """Write a row of CSV per claim. runs: views of runs. figures: plotted numbers of figures; kinds: by their names."""
    rows = []
    for path in runs:
        rows += of_runs(read_runs(path))
    for path in figures:
        rows += of_figure(kinds[path.stem], pd.read_csv(path), path.stem)
    rows += of_theorem()
    pd.DataFrame(rows).to_csv(output, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main(claims)
