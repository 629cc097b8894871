"""Step: the difference of each pair of methods by each judge, with its interval; as CSV, as a table and as a figure."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from amun_steps.judging.comparison import LEVEL, difference, holm, like_the_lowest
from amun_steps.store.step import Output, main, step
from amun_steps.views.dots import Dot, dots
from amun_steps.views.judges import JUDGES, SETTING, Judge, distances, heard, load
from amun_steps.views.look import save
from amun_steps.views.tables import ACCESS, ALIKE, METHODS, aligned

COLUMNS = (
    *(*SETTING, "judge", "method", "other", "method_mean", "other_mean"),
    *("difference", "low", "high", "p", "p_adjusted", "distinguishable", "freedom", "cells", "over"),
)
"""The columns of the CSV file, in order."""


def settings(cells: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], dict[str, pd.DataFrame]]]:
    """Each SETTING in which several methods are compared, and the cells of each method (see `distances`)."""
    for setting, rows in cells.groupby(SETTING, sort=False):
        methods = {name: of.droplevel([*SETTING, "method"]) for name, of in rows.groupby("method", sort=False)}
        if len(methods) > 1:
            yield setting, methods


def pairs(cells: pd.DataFrame) -> pd.DataFrame:
    """A row of COLUMNS for each pair of methods, judge and setting; a pair of which one has only diverged has no
    difference. p_adjusted: by Holm over the pairs of one judge and setting."""
    rows = []
    for setting, methods in settings(cells):
        for judge in heard(pd.concat(methods.values())):
            measured = {name: judge.of(of) for name, of in methods.items()}
            found = [
                (name, other, difference(measured[name] - measured[other]))
                for name, other in itertools.combinations(methods, 2)
            ]
            adjusted = holm([between.p for _, _, between in found])
            for (name, other, between), p in zip(found, adjusted, strict=True):
                means = [measured[m].mean() for m in (name, other)]
                told = "" if pd.isna(p) else p <= 1 - LEVEL
                numbers = (between.mean, between.low, between.high, between.p, p, told, between.freedom, between.cells)
                rows.append([*setting, judge.name, name, other, *means, *numbers, " and ".join(between.over)])
    return pd.DataFrame(rows, columns=COLUMNS)


def markdown(cells: pd.DataFrame) -> str:
    """A table of methods x judges for each setting: the lowest bold, and a mark for all that are not told from it."""
    text = [
        "Comparison. Distance from what each judge has of a perfect method, in points, mean over all runs; in"
        " brackets the 95% interval of the difference from the lowest, paired by forget set and original. The lowest is"
        f" bold; {ALIKE} is not distinguishable from it, at 5% for all methods of a column together."
    ]
    for (experiment, forget, access), methods in settings(cells):
        judges = heard(pd.concat(methods.values()))
        if not judges:
            text += ["", f"{experiment}, {forget}, {ACCESS[access]}: all runs diverged"]
            continue
        columns = [_column(methods, judge) for judge in judges]
        order = dict.fromkeys([*columns[0], *methods])  # lowest first, those that only diverged last
        head = ["", *(judge.title for judge in judges)]
        body = [
            [
                METHODS.get(name, name),
                *(column.get(name, "diverged" if methods[name].diverged.any() else "") for column in columns),
            ]
            for name in order
        ]
        text += ["", f"{experiment}, {forget}, {ACCESS[access]}", "", *aligned(head, body)]
    return "\n".join(text) + "\n"


def _column(methods: Mapping[str, pd.DataFrame], judge: Judge) -> dict[str, str]:
    """The cells of one judge's column, of the methods that it has a number of, lowest first."""
    measured = {name: judge.of(cells) for name, cells in methods.items()}
    alike = like_the_lowest(measured)
    means = {name: measured[name].mean() for name in alike}
    found: dict[str, str] = {}
    for name in sorted(means, key=means.__getitem__):
        lowest = next(iter(found), name)
        above = difference(measured[name] - measured[lowest])
        cell = f"{means[name]:.{judge.decimals}f}"
        if cell == f"{means[lowest]:.{judge.decimals}f}":  # a tie in print
            cell = f"**{cell}**"
        if name != lowest:
            cell += f" {ALIKE}" if alike[name] else ""
            ends = [f"{end:.{judge.decimals}f}" for end in (above.low, above.high)]
            cell += "" if pd.isna(above.low) else f" [{', '.join(ends)}]"
        found[name] = cell
    return found


def draw(cells: pd.DataFrame) -> Figure:
    """For each setting, how far each method is above the one with the lowest first of JUDGES, with the 95% interval; a
    filled dot is told from it, a hollow one is not."""
    found = {}
    for setting, methods in settings(cells):
        gaps = {name: of[JUDGES[0].name] for name, of in methods.items()}
        alike = like_the_lowest(gaps)
        lowest = min(alike, key=lambda name: gaps[name].mean(), default="")
        found[setting] = {name: Dot(difference(gaps[name] - gaps[lowest]), not alike[name]) for name in alike}
    return dots(found, f"{JUDGES[0].title}: difference from the lowest (points)")


@step
def comparison(
    *,
    runs: list[Path],
    judged: Path | None = None,
    csv: Output,
    markdown_file: Output,
    pdf: Output,
    png: Output,
) -> None:
    """Compare all pairs of methods of each experiment; show how far each is from the lowest.

    runs: views of runs. judged: the view of judgements, where other judges were asked.
    """
    cells = distances(load(runs, judged))
    pairs(cells).to_csv(csv, index=False, float_format="%.6f", lineterminator="\n")
    markdown_file.write_text(markdown(cells), encoding="utf-8")
    save(draw(cells), pdf, png)


if __name__ == "__main__":
    main(comparison)
