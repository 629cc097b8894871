"""Step: what came out, in two sentences and two pictures: Avg. Gap with intervals, and FT AUC against test accuracy."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from amun_steps.judging.comparison import CLUSTERS, Difference, difference, like_the_lowest, within
from amun_steps.store.step import Output, main, step
from amun_steps.views.comparison import settings
from amun_steps.views.dots import Dot, Setting, dots, panels
from amun_steps.views.judges import JUDGES, SETTING, distances, load
from amun_steps.views.leaderboard import ALL, Board, boards
from amun_steps.views.look import HEIGHT, name_of, save, style_of
from amun_steps.views.tables import ACCESS, METHODS

FEW = 3
"""So many methods are named, of more their number is said."""

Trade = Mapping[str, tuple[Difference, Difference]]
"""The FT AUC and the test accuracy of each method, and of the retrained models, with their intervals."""


def gaps(cells: pd.DataFrame) -> dict[Setting, dict[str, Dot]]:
    """The first of JUDGES of each method in each setting where several are compared (see `distances`)."""
    found = {}
    for setting, methods in settings(cells):
        of = {name: rows[JUDGES[0].name] for name, rows in methods.items()}
        alike = like_the_lowest(of)
        found[setting] = {name: Dot(within(difference(of[name]), 0, math.inf), not alike[name]) for name in alike}
    return found


def trades(runs: pd.DataFrame, shown: Sequence[Setting]) -> dict[Setting, Trade]:
    """What methods give up for what, in the settings `shown`; the retrained models are last."""
    found = {}
    for experiment, forget, access in shown:
        rows = runs[(runs.experiment == experiment) & (runs.forget == forget)]
        parts = dict(iter(rows[rows.access == access].groupby("method", sort=False)))
        parts["retrained"] = rows[rows.method == "retrained"].assign(original=0)
        found[experiment, forget, access] = {
            name: tuple(
                within(difference(of.groupby(list(CLUSTERS))[column].mean()), 0, 100)
                for column in ("ft_auc", "test_accuracy")
            )
            for name, of in parts.items()
            if of.ft_auc.notna().any()
        }
    return found


def draw_trades(found: Mapping[Setting, Trade]) -> Figure:
    """FT AUC against test accuracy, a point for each method with its intervals; the star is the retrained models.

    The axis of accuracies is logarithmic in the error, as a method that destroys models is far from all others.
    """
    ticks = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)

    def draw(axis: Axes, setting: Setting, first: bool) -> None:
        for name, (ft_auc, accuracy) in found[setting].items():
            colour, marker, _ = ("#000000", "*", "") if name == "retrained" else style_of(name)
            error = max(100 - accuracy.mean, ticks[0])
            ends = [max(100 - end, ticks[0]) for end in (accuracy.low, accuracy.high)]
            axis.plot([ft_auc.low, ft_auc.high], [error, error], color=colour, linewidth=0.5, alpha=0.6)
            axis.plot([ft_auc.mean] * 2, ends, color=colour, linewidth=0.5, alpha=0.6)
            size = 9 if name == "retrained" else None
            axis.plot(ft_auc.mean, error, marker, color=colour, markersize=size, label=name_of(name), zorder=3)
        axis.axvline(50, color="#999999", linewidth=0.8, linestyle=":", zorder=0)
        means = [(of[0].mean, max(100 - of[1].mean, ticks[0])) for of in found[setting].values()]
        axis.set_xlim(min(x for x, _ in means) - 2, max(x for x, _ in means) + 2)  # whatever intervals there are
        axis.set_yscale("log")
        axis.set_ylim(1.5 * max(y for _, y in means), min(y for _, y in means) / 1.5)
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_yticks([tick for tick in ticks if axis.get_ylim()[1] <= tick <= axis.get_ylim()[0]])
        axis.yaxis.set_major_formatter(lambda error, _: f"{100 - error:g}")
        axis.set_ylabel(f"{setting[0]}\nTest accuracy (%)" if first else "")
        axis.set_xlabel("FT AUC (%)")

    return panels(list(found), lambda _: HEIGHT, draw)


def said(found: Sequence[Board], of_gaps: Mapping[Setting, Mapping[str, Dot]]) -> str:
    """What came out, in two sentences: by mean rank over everything, and by Avg. Gap in each setting."""
    if not found:
        several = "experiment has several methods with the same access"
        why = f"where an {several}, all their runs diverged" if of_gaps else f"no {several}"
        return f"There is nothing to compare: {why}."
    widest = {board.access: board for board in reversed(found)}  # the first of each access, that of all experiments
    ranked = [_ranked(board) for board in reversed(widest.values())]
    alone: dict[str, list[str]] = {}
    others = []
    some = {setting: methods for setting, methods in of_gaps.items() if methods}  # not all have diverged
    for (experiment, forget, access), methods in some.items():
        lowest = min(methods, key=lambda name: methods[name].value.mean)
        alike = sum(not dot.filled for dot in methods.values())
        if alike == 1:
            alone.setdefault(lowest, []).append(f"{experiment} {forget} {ACCESS[access]}")
        else:
            others.append(alike - 1)
    count = sum(map(len, alone.values()))
    sentence = f"By Avg. Gap with FT AUC one method is below all others in {count or 'none'} of {len(some)} settings"
    if alone:
        sentence += " (" + "; ".join(f"{_called(name)}: {_listed(where)}" for name, where in alone.items()) + ")"
    if others:
        many = f"{min(others)} to {max(others)}" if min(others) < max(others) else f"{others[0]}"
        more = "other method is" if max(others) == 1 else "other methods are"
        sentence += f"; in {'the others' if alone else 'each'}, {many} {more} not distinguishable from the lowest"
    return f"Over all judges, {'; '.join(ranked)}. {sentence}."


def _ranked(board: Board) -> str:
    first, *rest = board.methods
    alike = [_called(name) for name in rest if board.alike()[name]]
    access = ACCESS[board.access].replace("no ", "without ")
    over = "all experiments" if board.experiment == ALL else board.experiment
    text = f"{access} {_called(first)} has the lowest mean rank of {len(board.methods)} methods on {over}"
    text += f" ({board.methods[first].mean:.1f})"
    if alike:
        text += f", and {_listed(alike) if len(alike) <= FEW else f'{len(alike)} others'}"
        text += f" {'is' if len(alike) == 1 else 'are'} not distinguishable from it"
    return text


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _called(name: str) -> str:
    return METHODS.get(name, name)


def numbers(of_gaps: Mapping[Setting, Mapping[str, Dot]], of_trades: Mapping[Setting, Trade]) -> pd.DataFrame:
    """What the pictures show: a row for each method of each setting, and for its retrained models."""
    rows = []
    for setting, trade in of_trades.items():
        for name, values in trade.items():
            dot = of_gaps[setting].get(name)
            row = dict(zip(SETTING, setting, strict=True)) | {"method": name}
            measured = {"average_gap": dot.value if dot else None, "ft_auc": values[0], "test_accuracy": values[1]}
            for what, value in measured.items():
                if value is not None:
                    row |= {what: value.mean, f"{what}_low": value.low, f"{what}_high": value.high}
            rows.append(row | ({"like_the_lowest": not dot.filled} if dot else {}))
    columns = [f"{what}{end}" for what in ("average_gap", "ft_auc", "test_accuracy") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*SETTING, "method", *columns, "like_the_lowest"])


@step
def overview(
    *,
    runs: list[Path],
    judged: Path | None = None,
    csv: Output,
    markdown_file: Output,
    gaps_pdf: Output,
    gaps_png: Output,
    trades_pdf: Output,
    trades_png: Output,
) -> None:
    """Say what came out and draw it; `csv` gets the plotted numbers.

    runs: views of runs. judged: the view of judgements, where other judges were asked.
    """
    rows = load(runs, judged)
    cells = distances(rows)
    of_gaps = gaps(cells)
    of_trades = trades(rows, list(of_gaps))
    numbers(of_gaps, of_trades).to_csv(csv, index=False, float_format="%.6f", lineterminator="\n")
    markdown_file.write_text(f"{said(list(boards(cells)), of_gaps)}\n", encoding="utf-8")
    save(dots(of_gaps, "Avg. Gap with FT AUC (points); hollow: not told from the lowest"), gaps_pdf, gaps_png)
    save(draw_trades(of_trades), trades_pdf, trades_png)


if __name__ == "__main__":
    main(overview)
