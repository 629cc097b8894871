"""What came out, in two sentences and two pictures, from numbers whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from test_comparison import BASE, NEAR, OF_RUNS, RETRAINED, run, toy

from amun_steps.judging.comparison import Difference
from amun_steps.views.dots import Dot, dots
from amun_steps.views.judges import distances
from amun_steps.views.leaderboard import boards
from amun_steps.views.overview import draw_trades, gaps, numbers, overview, said, trades

SETTING = ("toy", "random10", "with_remain")


def told(runs: pd.DataFrame) -> str:
    cells = distances(runs)
    return said(list(boards(cells)), gaps(cells))


def test_gaps_have_intervals_and_are_filled_where_they_are_told_from_the_lowest():
    found = gaps(distances(toy(ft=BASE + 20, amun=BASE, rl=BASE + NEAR, ga=BASE * math.nan)))
    assert list(found) == [SETTING]
    assert {name: dot.filled for name, dot in found[SETTING].items()} == {"ft": True, "amun": False, "rl": False}
    assert found[SETTING]["amun"].value.mean == BASE.mean()


def test_intervals_end_where_no_gap_accuracy_or_auc_can_lie():
    runs = toy(ft=[[0.5], [9.0]], rl=[[0.5], [9.0]])
    runs["test_accuracy"] = np.resize([99.9, 98.0], len(runs))
    of_gaps = gaps(distances(toy(ft=[[0.1], [3.0]], rl=[[50.0], [50.0]])))
    assert of_gaps[SETTING]["ft"].value.low == 0 < of_gaps[SETTING]["ft"].value.high
    ft_auc, accuracy = trades(runs, [SETTING])[SETTING]["ft"]
    assert (ft_auc.low, accuracy.high) == (0, 100)
    one_set = gaps(distances(toy(ft=[[1.0]], rl=[[2.0]])))[SETTING]["ft"].value
    assert np.isnan([one_set.low, one_set.high]).all()  # there is one of all


def test_trades_are_means_of_both_with_those_of_the_retrained_models():
    runs = toy(ft=[[60.0], [62.0]], rl=[[50.0], [51.0]])
    (found,) = trades(runs, [SETTING]).values()
    assert list(found) == ["ft", "rl", "retrained"]
    ft_auc, accuracy = found["ft"]
    interval = ttest_1samp([60, 62], 0).confidence_interval(0.95)
    assert (ft_auc.mean, ft_auc.low, ft_auc.high) == (61, pytest.approx(interval.low), pytest.approx(interval.high))
    assert accuracy.mean == 97
    assert found["retrained"][0].mean == 49  # of two sets with 48 and 50
    assert (found["retrained"][0].over, found["retrained"][0].cells) == (("set",), 2)


def test_the_sentences_name_who_is_lowest_and_who_is_not_told_from_it():
    near = BASE + 47  # AMUN's FT AUC is near that of the retrained models, too
    text = told(toy(ft=near + 20, amun=near, rl=near + NEAR, ga=near + 30))
    assert text.startswith("Over all judges, with D_R AMUN has the lowest mean rank of 4 methods on toy (")
    assert text.endswith(
        ". By Avg. Gap with FT AUC one method is below all others in none of 1 settings; in each, 1 other method is"
        " not distinguishable from the lowest."
    )


def test_one_that_is_alone_below_all_others_is_named_with_its_settings():
    first, second = toy(ft=BASE + 20, amun=BASE), toy(ft=BASE + 20, amun=BASE).assign(forget="random50")
    other = toy(ft=BASE, amun=BASE + NEAR, rl=BASE + NEAR / 2).assign(
        access=lambda d: d.access.where(d.access == "", "without_remain")
    )
    text = told(pd.concat([first, second, other.assign(experiment="second")]))
    assert "without D_R FT has the lowest mean rank of 3 methods on second" in text
    alone = "in 2 of 3 settings (AMUN: toy random10 with D_R and toy random50 with D_R)"
    assert f"{alone}; in the others, 2 other methods are not" in text


def test_many_that_are_not_told_apart_are_counted():
    rng = np.random.default_rng(0)
    many = {name: BASE + 0.5 * rng.normal(size=(2, 2)) for name in ("ft", "rl", "ga", "bs", "salun", "amun")}
    assert ", and 5 others are not distinguishable from it. By" in told(toy(**many))


def test_where_nothing_is_compared_that_is_said():
    nothing = "There is nothing to compare: "
    assert told(toy(ft=BASE)) == f"{nothing}no experiment has several methods with the same access."
    diverged = toy(ft=BASE, amun=BASE)
    diverged.loc[diverged.access != "", list({judge.column for judge in OF_RUNS})] = math.nan
    assert told(diverged) == (
        f"{nothing}where an experiment has several methods with the same access, all their runs diverged."
    )


def test_the_numbers_are_those_of_the_pictures():
    runs = toy(ft=BASE + 20, amun=BASE)
    of_gaps = gaps(distances(runs))
    found = numbers(of_gaps, trades(runs, list(of_gaps))).set_index("method")
    assert list(found.index) == ["ft", "amun", "retrained"]
    assert found.average_gap.tolist()[:2] == [BASE.mean() + 20, BASE.mean()]
    assert found.like_the_lowest.tolist()[:2] == [False, True]
    assert found.average_gap_low["ft"] == of_gaps[SETTING]["ft"].value.low
    assert found.loc["retrained", ["average_gap", "like_the_lowest"]].isna().all()
    assert found.ft_auc["retrained"] == 49


def test_more_than_four_settings_are_in_rows_of_three():
    dot = Dot(Difference(1.0, 0.5, 1.5, 0.1, 2, 9, ("set",)), True)
    found = {("toy", f"family{k}", "with_remain"): {"amun": dot, "ft": dot} for k in range(5)}
    found["toy", "family0", "without_remain"] = {"ft": dot}  # a row of its own, without what needs D_R
    found["other", "random10", "without_remain"] = {"rl": dot}
    shown = [axis for axis in dots(found, "gap").axes if axis.axison]
    assert [axis.get_title() for axis in shown] == [
        *(f"family{k}, with $D_R$" for k in range(5)),
        "family0, no $D_R$",
        "random10, no $D_R$",
    ]
    labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in shown]
    assert [row for row in labels if row and row[0]] == [["AMUN", "FT"], ["AMUN", "FT"], ["FT"], ["RL"]]


def test_the_trade_off_has_a_point_for_each_method_and_a_star():
    runs = toy(ft=[[60.0], [62.0]], amun=[[50.0], [51.0]])
    (axis,) = draw_trades(trades(runs, [SETTING])).axes
    points = {line.get_label(): line.get_xydata()[0].tolist() for line in axis.lines if line.get_label()[0] != "_"}
    assert points == {"FT": [61, 3], "AMUN": [50.5, 3], "Retrain": [49, 3]}  # 3% error


def test_the_step_writes_the_same_bytes_each_time_also_of_nothing(tmp_path):
    toy(ft=BASE + 20, amun=BASE).to_csv(tmp_path / "runs.csv", index=False)
    pd.DataFrame([*RETRAINED, run("ft", 0, 0, 50.0, gap=1.0)]).to_csv(tmp_path / "alone.csv", index=False)
    written = []
    for name in ("runs", "runs", "alone"):
        names = {"csv": "csv", "markdown_file": "md", "gaps_pdf": "g.pdf", "gaps_png": "g.png"}
        names |= {"trades_pdf": "t.pdf", "trades_png": "t.png"}
        files = {kind: tmp_path / str(len(written)) / f"overview.{end}" for kind, end in names.items()}
        overview(runs=[tmp_path / f"{name}.csv"], **files)
        written.append([path.read_bytes() for path in files.values()])
    assert written[0] == written[1]
    assert len(written[0][0].splitlines()) == 4
    assert len(written[2][0].splitlines()) == 1
    assert written[2][1].startswith(b"There is nothing")
