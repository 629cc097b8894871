"""The leaderboard: ranks by hand, intervals, who is told from whom, and where judges disagree."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, ttest_1samp
from test_comparison import NEARLY

from amun_steps.judging.comparison import CLUSTERS, difference
from amun_steps.views.comparison import markdown as comparison_markdown
from amun_steps.views.comparison import pairs
from amun_steps.views.judges import JUDGES, SETTING
from amun_steps.views.leaderboard import _groups, agreement, boards, disagreements, draw, leaderboard, markdown, table

NAMES = [judge.name for judge in JUDGES]


def cells(values: dict[str, object], experiment="toy", forget="random10", access="with_remain", judge=None):
    """What `distances` gives: of each method sets x originals, by all judges or by one, the others are 1."""
    rows = []
    for method, of in values.items():
        for (s, o), value in np.ndenumerate(np.asarray(of, dtype=float)):
            numbers = {name: value if judge in (None, name) else 1.0 for name in NAMES}
            keys = {"experiment": experiment, "forget": forget, "access": access, "method": method}
            rows.append(
                keys | {"replicate": 0, "set": s, "original": o, "diverged": float(math.isnan(value))} | numbers
            )
    return pd.DataFrame(rows).set_index([*SETTING, "method", *CLUSTERS])


ONE = {"ft": [[1.0], [2.0], [5.0]], "rl": [[2.0], [1.0], [4.0]], "ga": [[9.0], [9.0], [3.0]]}
"""Ranks of three sets: 1, 2, 3; 2, 1, 2; 3, 3, 1."""


def test_a_mean_rank_is_over_cells_and_its_interval_about_others():
    (board,) = boards(cells(ONE))
    assert (board.experiment, board.access, board.title) == ("toy", "with_remain", "toy, with D_R")
    assert list(board.methods) == ["rl", "ft", "ga"]
    assert [rank.mean for rank in board.methods.values()] == [pytest.approx(n) for n in (5 / 3, 2, 7 / 3)]
    interval = ttest_1samp([1, 2, 3], 0).confidence_interval(0.95)
    assert (board.methods["ft"].low, board.methods["ft"].high) == (
        pytest.approx(interval.low),
        pytest.approx(interval.high),
    )
    assert board.groups == [(0, 2)]
    assert board.alike() == {"ft": True, "rl": True, "ga": True}


def test_a_rank_is_one_of_a_set_and_an_original_and_its_interval_knows_both():
    (board,) = boards(cells({"ft": [[1.0, 2.0], [1.0, 2.0], [3.0, 1.0]], "rl": [[2.0, 1.0], [3.0, 1.0], [1.0, 2.0]]}))
    ranks = board.ranks.loc["ft", NAMES[0]]
    assert ranks.to_dict() == {(0, s, o): rank for (s, o), rank in np.ndenumerate([[1, 2], [1, 2], [2, 1]])}
    assert board.methods["ft"] == difference(ranks)


def test_ties_share_their_ranks_and_what_diverged_is_last():
    (board,) = boards(cells({"ft": [[1.0]], "rl": [[math.nan]], "ga": [[1.0]]}))
    assert {name: rank.mean for name, rank in board.methods.items()} == {"ft": 1.5, "ga": 1.5, "rl": 3}


def test_a_mean_rank_is_over_judges_and_families_set_by_set():
    first = cells({"ft": [[1.0], [1.0]], "rl": [[2.0], [2.0]]}, judge=NAMES[0])  # the others: a tie, 1.5
    second = cells({"ft": [[2.0], [1.0]], "rl": [[1.0], [2.0]]}, forget="random50")
    (board,) = boards(pd.concat([first, second]))
    ranks = board.ranks.loc["ft"]
    assert ranks[NAMES[0]].tolist() == [1.5, 1]
    assert ranks[NAMES[1]].tolist() == [1.75, 1.25]
    n = len(NAMES)
    assert board.methods["ft"].mean == pytest.approx(((1.5 + 1) / 2 + (n - 1) * 1.5) / n)


def test_each_access_and_experiment_has_a_board_and_all_have_one_of_their_common_methods():
    other = cells({"rl": [[1.0], [1.0]], "ga": [[5.0], [5.0]], "new": [[2.0], [2.0]]}, "other")
    alone = cells({"amun": [[1.0]]}, "alone")
    without = cells({"ft": [[3.0]], "rl": [[2.0]]}, access="without_remain")
    found = {
        (board.experiment, board.access): board for board in boards(pd.concat([cells(ONE), other, alone, without]))
    }
    assert list(found) == [(name, "with_remain") for name in ("all", "toy", "other")] + [("toy", "without_remain")]
    both = found["all", "with_remain"]
    assert set(both.methods) == {"rl", "ga"}
    # among the two, rl is first in the sets that both experiments have; in the third, of one of them, it is not
    assert both.ranks.loc["rl", NAMES[0]].tolist() == [1, 1, 2]
    assert both.methods["rl"].mean == pytest.approx(4 / 3)


def test_methods_that_are_told_apart_are_not_joined():
    rng = np.random.default_rng(0)
    base = rng.random((3, 3))
    values = {"a": base, "b": base + 0.01 * rng.normal(size=(3, 3)), "c": base + 5, "d": base + 9}
    (board,) = boards(cells(values))
    assert list(board.methods)[2:] == ["c", "d"]
    assert board.groups == [(0, 1)]
    assert board.alike() == {"a": True, "b": True, "c": False, "d": False}


def test_bars_are_adjusted_for_the_number_of_pairs():
    levels = pd.Index(range(3), name="set")
    overall = {name: pd.Series(values, levels) for name, values in NEARLY.items()}
    assert difference(overall["b"] - overall["a"]).p < 0.05
    assert _groups(list(NEARLY), overall) == [(0, 2)]


def test_the_table_has_a_row_for_each_method_with_who_finds_it_best():
    found = table(list(boards(pd.concat([cells(ONE, judge=NAMES[0]), cells(ONE, forget="x", judge=NAMES[0])]))))
    row = found.set_index("method").loc["rl"]
    assert (row.best_by, row.experiment, row.like_the_first, row.group) == (NAMES[0], "toy", True, "a")
    assert (row[f"rank_{NAMES[0]}"], row[f"rank_{NAMES[1]}"]) == (pytest.approx(5 / 3), 2)
    assert found.set_index("method").loc["ga"].worst_by == NAMES[0]
    assert found.mean_rank.is_monotonic_increasing


def test_agreement_is_kendall_s_tau_with_all_others():
    rng = np.random.default_rng(1)
    made = cells({name: rng.random((2, 2)) for name in "abcde"})
    made[:] = rng.random(made.shape)
    (board,) = boards(made)
    means, found = board.by_judge(), agreement(board)
    for judge in NAMES:
        others = means[[name for name in NAMES if name != judge]].mean(axis=1)
        assert found[judge] == pytest.approx(kendalltau(means[judge], others).statistic)


def test_judges_disagree_where_each_decides_distinguishably_for_another():
    low, high = np.array([[1.0, 1.1], [1.05, 1.1]]), np.array([[9.0, 9.1], [9.0, 9.1]])
    made = cells({"ft": low, "rl": high})
    made.loc[(slice(None),) * 3 + ("ft",), NAMES[1]] = high.ravel() + 5
    made.loc[(slice(None),) * 3 + ("rl",), NAMES[2]] = low.ravel() + 0.1 * np.array([1, -1, 1, 1])  # nothing
    found = disagreements(pairs(made))
    assert found.lower.tolist() == ["ft"]
    assert found.but.tolist() == ["rl"]
    assert found.by_others.tolist() == [NAMES[1]]
    assert set(found.by[0].split(", ")) == {*NAMES} - {NAMES[1], NAMES[2]}
    text = markdown(list(boards(made)), found)
    assert f"- toy, random10, with D_R: FT by {JUDGES[0].title}, " in text
    assert text.endswith(f"; RL by {JUDGES[1].title}\n")
    assert disagreements(pairs(cells(ONE))).empty
    assert markdown(list(boards(cells(ONE))), disagreements(pairs(cells(ONE)))).endswith("\nnone\n")


def test_sets_that_one_family_alone_has_count_too():
    """Three random sets beside one list: the list's set says of others no more than of itself."""
    first = cells({"ft": [[1.0], [1.0], [2.0]], "rl": [[2.0], [2.0], [1.0]]})
    second = cells({"ft": [[2.0]], "rl": [[1.0]]}, forget="list")
    (board,) = boards(pd.concat([first, second]))
    assert board.ranks.loc["ft", NAMES[0]].tolist() == [1.5, 1, 2]
    assert board.methods["ft"].mean == pytest.approx(1.5)
    assert board.methods["ft"].over == ("set",)


def test_agreement_is_empty_for_a_judge_that_ranks_all_alike():
    found = list(boards(cells(ONE, judge=NAMES[0])))
    (line,) = (line for line in markdown(found, disagreements(pairs(cells(ONE)))).splitlines() if "| Agreement" in line)
    assert "nan" not in line


def test_the_figure_has_the_ranks_their_bars_and_a_heat_map():
    found = list(boards(cells(ONE)))
    left, right = draw(found).axes
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [rank.mean for rank in found[0].methods.values()]
    assert [label.get_text() for label in left.get_yticklabels()] == ["RL", "FT", "GA"]
    bars = [line for line in left.lines if line.get_linewidth() == 2]
    assert [list(line.get_ydata()) for line in bars] == [[-0.2, 2.2]]
    np.testing.assert_allclose(right.images[0].get_array(), found[0].by_judge())
    assert len(right.texts) == 3 * len(JUDGES)


def test_the_step_writes_the_same_bytes_each_time_also_of_nothing(tmp_path):
    keys = ["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "fr_auc", "tpr_at_1_fpr", "mis"]
    keys += ["average_gap_ft_auc", "average_gap_mis"]
    rows = [
        {"experiment": "toy", "method": m, "access": "" if m == "retrained" else "with_remain", "forget": "x"}
        | {"replicate": 0, "set": s, "original": o} | {key: float(n + s * o) for key in keys}
        for n, m in enumerate(("retrained", "ft", "rl")) for s, o in itertools.product(range(2), range(2))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)
    pd.DataFrame([row for row in rows if row["method"] != "rl"]).to_csv(tmp_path / "alone.csv", index=False)
    pd.DataFrame(columns=[*SETTING, "judge", "method", "other", "difference", "distinguishable"]).to_csv(
        tmp_path / "comparison.csv", index=False
    )
    written = []
    for name in ("runs", "runs", "alone"):
        kinds = {"csv": "csv", "markdown_file": "md", "pdf": "pdf", "png": "png"}
        files = {kind: tmp_path / str(len(written)) / f"leaderboard.{end}" for kind, end in kinds.items()}
        leaderboard(runs=[tmp_path / f"{name}.csv"], comparison=tmp_path / "comparison.csv", **files)
        written.append([path.read_bytes() for path in files.values()])
    assert written[0] == written[1]
    assert written[0][2].startswith(b"%PDF")
    assert len(written[0][0].splitlines()) == 3
    told = [dict(zip(SETTING, ("null", "x", "with_remain"), strict=True)) | {"method": "NA", "other": "nan"}] * 2
    told = [
        row | {"judge": j, "difference": d, "distinguishable": True}
        for row, j, d in zip(told, NAMES[:2], (1, -1), strict=True)
    ]
    pd.DataFrame(told).to_csv(tmp_path / "comparison.csv", index=False)
    leaderboard(runs=[tmp_path / "runs.csv"], comparison=tmp_path / "comparison.csv", **files)
    assert files["markdown_file"].read_text().splitlines()[-1].startswith("- null, x, with D_R: NA by ")
    assert len(written[2][0].splitlines()) == 1


def test_a_judge_that_is_not_asked_of_a_method_ranks_the_others_and_not_it():
    """A submission, of which there are no shadows: it is not the worst by U-LiRA, and has not diverged."""
    found = cells({"theirs": np.ones((3, 1)), "ft": np.full((3, 1), 2.0), "rl": np.full((3, 1), np.nan)})
    found.loc[found.index.get_level_values("method") == "theirs", "u_lira_auc"] = math.nan
    (board,) = boards(found)
    assert {name: rank.mean for name, rank in board.methods.items()} == {
        "theirs": 1,
        "ft": pytest.approx((2 * (len(NAMES) - 1) + 1) / len(NAMES)),
        "rl": pytest.approx((3 * (len(NAMES) - 1) + 2) / len(NAMES)),
    }
    rows = table([board]).set_index("method")
    assert math.isnan(rows.loc["theirs", "rank_u_lira_auc"])
    assert rows.loc["theirs", "worst_by"] != "u_lira_auc"
    text = markdown([board], pd.DataFrame())
    assert "nan" not in text.lower()
    compared = {line.split("|")[1].strip(): line for line in comparison_markdown(found).splitlines() if "|" in line}
    assert "diverged" not in compared["theirs"]
    assert compared["RL"].count("diverged") == len(NAMES)


def test_a_method_that_diverged_is_last_by_a_judge_that_then_says_nothing_of_it():
    """One of the models of each set has diverged, and of so many there is no epsilon."""
    found = cells({"ft": np.full((3, 2), 2.0), "rl": np.ones((3, 2))})
    some = found.index.get_level_values("method") == "rl"
    found.loc[some, "epsilon"] = math.nan
    (board,) = boards(found)
    assert math.isnan(board.by_judge().loc["rl", "epsilon"]), "not asked, as far as anyone can see"
    found.loc[some, "diverged"] = 0.01
    (board,) = boards(found)
    assert board.by_judge().loc["rl", "epsilon"] == 2
    row = next(line for line in comparison_markdown(found).splitlines() if line.startswith("| RL"))
    assert row.count("diverged") == 1


def test_a_judge_that_is_not_asked_in_an_experiment_ranks_nobody_there():
    """Neither as a tie of all nor as last."""
    first = cells(ONE)
    first[NAMES[1]] = math.nan
    other = cells({name: np.array(of)[::-1] for name, of in ONE.items()}, "other")
    found = {board.experiment: board for board in boards(pd.concat([first, other]))}
    assert NAMES[1] not in [judge.name for judge in found["toy"].judges]
    assert [judge.name for judge in found["all"].judges] == NAMES
    assert found["toy"].methods["ft"].mean == pytest.approx(2)
    np.testing.assert_allclose(found["all"].ranks.loc["ft", NAMES[1]], [3, 2, 1])  # those of the other alone
    written = table(list(found.values()))
    assert f"rank_{NAMES[1]}" in written
    assert written[written.experiment == "toy"][f"rank_{NAMES[1]}"].isna().all()
    _, right = draw([found["toy"]]).axes
    assert len(right.texts) == 3 * (len(NAMES) - 1)
