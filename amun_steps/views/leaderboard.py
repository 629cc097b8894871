"""Step: all methods by their mean rank over experiments and judges, with its interval, and where judges disagree."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amun_steps.judging.comparison import CLUSTERS, LEVEL, Difference, difference, holm, like_the_lowest
from amun_steps.store.step import Output, main, step
from amun_steps.views.judges import JUDGES, SETTING, Judge, distances, heard, load
from amun_steps.views.look import LOOK, WIDTH, name_of, save, style_of, typeset
from amun_steps.views.tables import ACCESS, ALIKE, METHODS, aligned

ALL = "all"
"""What the board of all experiments together is called."""


@dataclass(frozen=True)
class Board:
    """A leaderboard: methods with the same access in one experiment, or those that several experiments have in common.

    ranks: the rank of each method (rows: method and CLUSTERS; from 1, the lowest distance) by each judge
    (columns), its mean over those families of forget sets, of all its experiments, that have the cell. methods: by mean
    rank, lowest first, with it and its interval. groups: from the first to the last place of methods that are not told
    from each other.
    """

    experiment: str
    access: str
    ranks: pd.DataFrame
    methods: Mapping[str, Difference]
    groups: Sequence[tuple[int, int]]

    @property
    def title(self) -> str:
        return f"{'all experiments' if self.experiment == ALL else self.experiment}, {ACCESS[self.access]}"

    @property
    def judges(self) -> list[Judge]:
        """Those that rank its methods."""
        return heard(self.ranks)

    def by_judge(self) -> pd.DataFrame:
        """The mean rank of each method (rows, in their order) by each judge."""
        return self.ranks.groupby("method").mean().loc[list(self.methods)]

    def alike(self) -> dict[str, bool]:
        """Whether a method is the first or not distinguishable from it (see `like_the_lowest`)."""
        return like_the_lowest(_overall(self.ranks))


def boards(cells: pd.DataFrame) -> Iterator[Board]:
    """For each access, a board of each experiment with several methods and, where these are several, one of all first.

    cells: see `distances`. In each cell methods are ranked by each judge that was asked of them; equal ones share the
    mean of their ranks, and one that diverged is last. A mean rank is over judges, families and experiments, all of
    which are taken as they are; its interval is about other sets and originals, which are paired by their numbers over
    families and experiments: a cell's rank is the mean over those that have it.
    """
    for access in dict.fromkeys(cells.index.get_level_values("access")):
        of_access = cells.xs(access, level="access", drop_level=False)
        methods = {
            name: set(rows.index.get_level_values("method"))
            for name, rows in of_access.groupby("experiment", sort=False)
        }
        spoken_of = {  # not those of which all runs diverged
            name: bool(heard(rows)) for name, rows in of_access.groupby("experiment", sort=False)
        }
        several = [name for name, known in methods.items() if len(known) > 1 and spoken_of[name]]
        if len(several) > 1 and len(common := set.intersection(*(methods[name] for name in several))) > 1:
            chosen = of_access.index.get_level_values("experiment").isin(several)
            chosen &= of_access.index.get_level_values("method").isin(common)
            yield _board(ALL, access, of_access[chosen])
        for name in several:
            yield _board(name, access, of_access.xs(name, level="experiment", drop_level=False))


def _board(experiment: str, access: str, cells: pd.DataFrame) -> Board:
    judges = [judge.name for judge in heard(cells)]
    numbers = cells[judges].notna()
    asked = numbers.groupby([*SETTING, "method"]).transform("any")  # a judge that is not asked of a method ranks it not
    spoke = numbers.groupby(SETTING).transform("any")  # but one that is asked of others, if it has diverged
    failed = cells.diverged.gt(0).groupby([*SETTING, "method"]).transform("any")
    values = cells[judges].fillna(math.inf).where(asked.where(~failed, spoke))
    ranked = values.groupby([*SETTING, *CLUSTERS]).rank()
    ranks = ranked.groupby(["method", *CLUSTERS], sort=False).mean()
    overall = _overall(ranks)
    means = {name: difference(values) for name, values in overall.items()}
    order = sorted(means, key=lambda name: means[name].mean)
    return Board(experiment, access, ranks, {name: means[name] for name in order}, _groups(order, overall))


def _overall(ranks: pd.DataFrame) -> dict[str, pd.Series]:
    """The mean over judges in each cell, of each method."""
    return {name: rows.droplevel("method").mean(axis=1) for name, rows in ranks.groupby("method", sort=False)}


def _groups(order: Sequence[str], overall: Mapping[str, pd.Series]) -> list[tuple[int, int]]:
    """The longest runs of places, of two or more, in which no two methods are told apart, by Holm over all pairs."""
    pairs = list(itertools.combinations(range(len(order)), 2))
    p = holm([difference(overall[order[a]] - overall[order[b]]).p for a, b in pairs])
    told = {pair for pair, value in zip(pairs, p, strict=True) if value <= 1 - LEVEL}
    alike = [(a, b) for a, b in pairs if not told & set(itertools.combinations(range(a, b + 1), 2))]
    return [(a, b) for a, b in alike if not any((c, d) != (a, b) and c <= a and b <= d for c, d in alike)]


def _judges(found: Sequence[Board]) -> list[Judge]:
    return [judge for judge in JUDGES if any(judge in board.judges for board in found)]


def table(found: Sequence[Board]) -> pd.DataFrame:
    """A row for each method of each board, and a column for the mean rank by each judge."""
    rows = []
    for board in found:
        by_judge, alike = board.by_judge(), board.alike()
        for place, (name, rank) in enumerate(board.methods.items()):
            letters = "".join(chr(97 + k) for k, (first, last) in enumerate(board.groups) if first <= place <= last)
            own = by_judge.loc[name]
            row = {"experiment": board.experiment, "access": board.access, "method": name}
            row |= {"mean_rank": rank.mean, "low": rank.low, "high": rank.high, "like_the_first": alike[name]}
            row |= {"group": letters, "best_by": own.idxmin(), "worst_by": own.idxmax()}
            rows.append(row | {f"rank_{judge}": value for judge, value in own.items()})
    columns = ("experiment", "access", "method", "mean_rank", "low", "high", "like_the_first", "group", "best_by")
    return pd.DataFrame(rows, columns=[*columns, "worst_by", *(f"rank_{judge.name}" for judge in _judges(found))])


def disagreements(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of methods (see `amun_steps.views.comparison.pairs`) of which one judge finds the one lower, and another
    the other, both distinguishably: the setting, `lower` with `by`, the judges that say so, `but` with `by_others`."""
    told = pairs[pairs.distinguishable.astype(str) == "True"]
    rows = []
    for (*setting, name, other), of in told.groupby([*SETTING, "method", "other"], sort=False):
        one, another = (of.judge[of.difference * sign > 0].tolist() for sign in (-1, 1))
        if one and another:
            rows.append([*setting, name, ", ".join(one), other, ", ".join(another)])
    return pd.DataFrame(rows, columns=[*SETTING, "lower", "by", "but", "by_others"])


def agreement(board: Board) -> pd.Series:
    """Of each judge, Kendall's tau of its mean ranks with those of all other judges: 1 for the same order."""
    by_judge = board.by_judge()
    others = {judge: by_judge.drop(columns=judge).mean(axis=1) for judge in by_judge}
    return pd.Series({judge: by_judge[judge].corr(mean, method="kendall") for judge, mean in others.items()})


def markdown(found: Sequence[Board], against: pd.DataFrame) -> str:
    """The boards as tables of methods x judges, and below where judges disagree (see `disagreements`)."""
    text = [
        "Leaderboard. Mean rank over judges and families of forget sets, 1 is the lowest distance, with a 95% interval"
        f" for other forget sets and originals; then by each judge. {ALIKE} is not distinguishable from the first, at"
        " 5% for all methods together. Agreement is Kendall's tau with the mean rank by all other judges."
    ]
    for board in found:
        by_judge, alike, agreed = board.by_judge(), board.alike(), agreement(board)
        body = [
            [
                METHODS.get(name, name),
                f"{rank.mean:.2f}{f' {ALIKE}' if alike[name] and place else ''}{_interval(rank)}",
                *("" if pd.isna(value) else f"{value:.1f}" for value in by_judge.loc[name]),
            ]
            for place, (name, rank) in enumerate(board.methods.items())
        ]
        body.append(["Agreement", "", *("" if pd.isna(value) else f"{value:.2f}" for value in agreed)])
        text += ["", board.title, "", *aligned(["", "Mean rank", *(judge.title for judge in board.judges)], body)]
    titles = {judge.name: judge.title for judge in JUDGES}
    text += ["", "Judges that decide a pair of methods for the one and for the other, each distinguishably:", ""]
    for row in against.itertuples():
        by, others = (", ".join(titles[name] for name in names.split(", ")) for names in (row.by, row.by_others))
        lower, but = METHODS.get(row.lower, row.lower), METHODS.get(row.but, row.but)
        text.append(f"- {row.experiment}, {row.forget}, {ACCESS[row.access]}: {lower} by {by}; {but} by {others}")
    return "\n".join(text if len(against) else [*text, "none"]) + "\n"


def _interval(rank: Difference) -> str:
    return "" if pd.isna(rank.low) else f" [{rank.low:.2f}, {rank.high:.2f}]"


def draw(found: Sequence[Board]) -> Figure:
    """For each board the mean ranks with their intervals, bars that join methods which are not told from each other,
    and the mean rank by each judge."""
    matplotlib.use("Agg")
    heights = [len(board.methods) for board in found] or [1]
    judges = _judges(found)
    with matplotlib.rc_context(LOOK):
        drawn = Figure(figsize=(3 * WIDTH, 0.15 * sum(heights) + 0.3 * len(heights) + 1), layout="constrained")
        axes = drawn.subplots(len(heights), 2, squeeze=False, height_ratios=heights, sharex="col")
        for (left, right), board in zip(axes, found, strict=False):
            _draw_ranks(left, board)
            _draw_judges(right, board, judges)
        if found:
            left, right = axes[-1]
            left.set_xlabel("Mean rank; a bar joins methods not told apart among all pairs")
            right.set_xticks(range(len(judges)), [typeset(judge.title) for judge in judges], rotation=60)
            for label in right.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
            axes[0, 1].set_title("Mean rank by each judge")
        drawn.get_layout_engine().execute(drawn)  # while LOOK holds
    return drawn


def _draw_ranks(axis: Axes, board: Board) -> None:
    for place, (name, rank) in enumerate(board.methods.items()):
        colour = style_of(name)[0]
        axis.plot([rank.low, rank.high], [place, place], color=colour)
        axis.plot(rank.mean, place, "o", color=colour)
    count = len(board.methods)
    for number, (first, last) in enumerate(board.groups):
        axis.plot([0.6 - 0.25 * number] * 2, [first - 0.2, last + 0.2], color="#000000", linewidth=2)
    axis.set(ylim=(count - 0.5, -0.5), yticks=range(count), yticklabels=map(name_of, board.methods))
    axis.set_title(typeset(board.title))


def _draw_judges(axis: Axes, board: Board, judges: Sequence[Judge]) -> None:
    by_judge = board.by_judge().reindex(columns=[judge.name for judge in judges]).to_numpy()
    axis.imshow(by_judge, aspect="auto", cmap="Blues", vmin=1, vmax=len(by_judge))
    for (row, column), value in np.ndenumerate(by_judge):
        if not np.isnan(value):
            colour = "white" if value > 0.6 * len(by_judge) else "black"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=5, color=colour)
    axis.set(yticks=[])
    axis.tick_params(length=0)


@step
def leaderboard(
    *,
    runs: list[Path],
    judged: Path | None = None,
    comparison: Path,
    csv: Output,
    markdown_file: Output,
    pdf: Output,
    png: Output,
) -> None:
    """Rank all methods over experiments and judges, and say where judges disagree.

    runs: views of runs. judged: the view of judgements, where other judges were asked. comparison: that of all pairs.
    """
    found = list(boards(distances(load(runs, judged))))
    table(found).to_csv(csv, index=False, float_format="%.4f", lineterminator="\n")
    markdown_file.write_text(
        markdown(found, disagreements(pd.read_csv(comparison, keep_default_na=False, na_values=[""]))), encoding="utf-8"
    )
    save(draw(found), pdf, png)


if __name__ == "__main__":
    main(leaderboard)
