"""Tables: the paper's own numbers, a summary by hand, and what is printed of it, letter by letter."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from amun_steps.judging.metrics import GAP_METRICS, average_gap
from amun_steps.views.runs import collect
from amun_steps.views.tables import Group, Layout, Row, caption, latex, markdown, ranks, summarise, table

PAPER = pd.read_csv(Path(__file__).parent / "paper_tables.csv")
"""Every printed cell of Tables 1, 2, 10 and 11: mean and std as printed; Retrain's gap has no std."""

ROUNDING = 0.015
"""Half a unit of the last digit for the method's mean and for the retrained models' makes 0.01 in each of the four
distances, so in their mean; 0.005 more for the printed gap."""

DISAGREEING = {
    # (table, forget, method): the printed gap, and the gap of the printed means
    # Printed above computed. A mean of the runs' gaps is at least the gap of the runs' means (Jensen), so this is
    # what runs on both sides of the retrained models' mean give.
    (1, "random10", "l1_sparse"): (2.16, 2.1400),
    (2, "random10", "amun"): (1.94, 1.9100),
    (2, "random50", "amun_salun"): (2.00, 1.9450),
    (10, "random10", "l1_sparse"): (2.26, 1.9625),
    (10, "random10", "amun"): (0.59, 0.5725),
    (10, "random50", "rl"): (3.29, 3.2550),
    (10, "random50", "salun"): (3.06, 3.0375),
    (11, "random10", "ga"): (76.58, 73.4975),
    (11, "random10", "amun"): (1.61, 1.5800),
    (11, "random50", "amun_salun"): (2.35, 2.2950),
    # Printed below computed, which no set of runs gives: the printed cells contradict each other.
    (1, "random10", "rl"): (1.74, 1.7675),
    (1, "random50", "ga"): (4.62, 6.0225),
    (1, "random50", "l1_sparse"): (2.67, 3.1425),
    (1, "random50", "salun"): (1.36, 1.4175),
    (1, "random50", "amun"): (0.33, 0.5650),
    (1, "random50", "amun_salun"): (0.36, 0.6550),
    (2, "random10", "rl"): (4.31, 4.3700),
    (2, "random10", "bs"): (4.20, 4.2675),
    (2, "random10", "salun"): (4.11, 4.1850),
    (2, "random50", "rl"): (4.29, 5.6525),
    (2, "random50", "ga"): (5.13, 5.5275),
    (2, "random50", "bs"): (4.40, 5.7650),
    (2, "random50", "salun"): (4.40, 5.7725),
}


def test_the_papers_tables_are_all_there():
    assert PAPER.groupby("table").size().to_dict() == {1: 90, 2: 70, 10: 90, 11: 70}
    assert not PAPER.duplicated(["table", "method", "forget", "metric"]).any()
    without_std = PAPER[PAPER["std"].isna()]
    assert (without_std.method == "retrained").all()
    assert (without_std.metric == "average_gap").all()
    assert (without_std["mean"] == 0).all()
    assert PAPER["mean"].between(0, 100).all()


def paper_gaps() -> pd.DataFrame:
    """A row per table, family and method: the printed gap, and the gap of the printed means."""
    means = PAPER.pivot(index=["table", "forget", "method"], columns="metric", values="mean")
    means["attack"] = means.ft_auc.fillna(means.mis)
    columns = [*GAP_METRICS, "attack"]
    standard = means.xs("retrained", level="method")[columns]
    reference = standard.loc[means.index.droplevel("method")].to_numpy()
    return pd.DataFrame({"printed": means.average_gap, "computed": average_gap(means[columns].to_numpy(), reference)})


def test_avg_gap_is_the_papers_but_for_the_cells_that_are_listed():
    gaps = paper_gaps()
    assert len(gaps) == 64
    differ = gaps[(gaps.printed - gaps.computed).abs() > ROUNDING + 1e-9]
    found = {key: (row.printed, round(row.computed, 4)) for key, row in differ.iterrows()}
    assert found == DISAGREEING


@pytest.mark.parametrize(("number", "best", "second"), [
    (1, "amun", "amun_salun"), (2, "amun_salun", "amun"), (10, "amun", "amun_salun"), (11, "amun_salun", "amun"),
])  # fmt: skip
@pytest.mark.parametrize("forget", ["random10", "random50"])
def test_bold_and_underlined_are_where_the_paper_has_them(number, best, second, forget):
    gaps = paper_gaps().printed.loc[number, forget].drop("retrained")
    marked = dict(zip(gaps.index, ranks(gaps), strict=True))
    assert {method: rank for method, rank in marked.items() if rank is not None} == {best: 0, second: 1}


# ---- a small case ----------------------------------------------------------------------------------------------------

METRICS = [*GAP_METRICS, "ft_auc", "average_gap"]
LAYOUT = Layout(
    title="Table 1",
    rows=[Row("retrained"), *(Row(method, "with_remain") for method in ("ft", "l1_sparse", "my_method"))],
    groups=[Group("random10", "10%", "Random forget (10%)"), Group("half", "50%", "Random forget (50%)")],
    metrics=METRICS,
    mia="ft_auc",
    references=128,
)


def run(method, forget, values=None, which=0, access="with_remain", experiment="toy", original=0) -> dict:
    """A row of a run file: unlearn, retain, test accuracy, FT AUC and MIS; none for a run that diverged."""
    names = (*GAP_METRICS, "ft_auc", "mis")
    metrics = dict(zip(names, values or [math.nan] * len(names), strict=True))
    access = "" if method == "retrained" else access
    keys = {"experiment": experiment, "method": method, "access": access, "forget": forget, "set": which}
    keys["replicate"] = 0
    keys["original"] = None if method == "retrained" else original
    return keys | metrics | {"rmia_ties": 3.0, "diverged": values is None}


RUNS = [
    run("retrained", "random10", [90, 100, 90, 50, 10]),
    run("retrained", "random10", [92, 100, 90, 50, 10]),
    run("ft", "random10", [95, 98, 88, 52, 14]),  # gap 2.5
    run("ft", "random10", [91, 96, 88, 52, 14]),  # gap 2
    run("ft", "random10"),
    run("ft", "random10", [0, 0, 0, 0, 0], access="without_remain"),
    run("l1_sparse", "random10", [91, 100, 90, 50, 10]),
    run("my_method", "random10"),
    run("retrained", "half", [80, 100, 80, 50, 20]),
    run("ft", "half", [80, 100, 80, 54, 28]),
    run("l1_sparse", "half", [80, 100, 84, 50, 20]),
    run("my_method", "half", [80, 92, 80, 50, 20]),
]

ONE = replace(LAYOUT, groups=[Group("random10", "10%", "Random forget (10%)")])

CAPTION = (
    "Avg. Gap is the mean distance from the models retrained without the same forget set, with FT AUC as the attack;"
    " lowest bold, second underlined. ≈: not distinguishable from the lowest, paired by forget set and original, at 5%"
    " for all methods together. Hyperparameters were tuned once, on a forget set of their own, by the Avg. Gap"
    " with FT AUC. RMIA had 128 reference models. † Some runs diverged: they are in no mean, and are counted in the"
    " CSV."
)

MARKDOWN = f"""\
Table 1. Unlearning with access to D_R: percent, mean and standard deviation over 0 to 2 runs a method. {CAPTION}

|           | Unlearn Acc (10%) | Retain Acc (10%) | Test Acc (10%) | FT AUC (10%)  | Avg. Gap (10%)        |
| --------- | ----------------- | ---------------- | -------------- | ------------- | --------------------- |
| Retrain   | 91.00 ± 1.41      | 100.00 ± 0.00    | 90.00 ± 0.00   | 50.00 ± 0.00  | 0.00                  |
| FT        | 93.00 ± 2.83†     | 97.00 ± 1.41†    | 88.00 ± 0.00†  | 52.00 ± 0.00† | <u>2.25</u> ± 0.35 ≈† |
| l1-Sparse | 91.00             | 100.00           | 90.00          | 50.00         | **0.00**              |
| my_method | diverged†         | diverged†        | diverged†      | diverged†     | diverged†             |
"""

LATEX = (
    r"""% Table 1; needs \usepackage{booktabs}
\begin{table*}
\centering
\begin{tabular}{lccccc}
\toprule
 & \multicolumn{5}{c}{Random forget (10\%)} \\ \cmidrule(lr){2-6}
 & Unlearn Acc & Retain Acc & Test Acc & FT AUC & Avg. Gap \\
\midrule
Retrain & 91.00 $\pm$ 1.41 & 100.00 $\pm$ 0.00 & 90.00 $\pm$ 0.00 & 50.00 $\pm$ 0.00 & 0.00 \\
FT & 93.00 $\pm$ 2.83† & 97.00 $\pm$ 1.41† & 88.00 $\pm$ 0.00† & 52.00 $\pm$ 0.00† & \underline{2.25} $\pm$ 0.35 ≈† \\
$l_1$-Sparse & 91.00 & 100.00 & 90.00 & 50.00 & \textbf{0.00} \\
my\_method & diverged† & diverged† & diverged† & diverged† & diverged† \\
\bottomrule
\end{tabular}
\caption{Unlearning with access to $D_R$: percent, mean and standard deviation over 0 to 2 runs a method. CAPTION}
\end{table*}
""".replace("CAPTION", CAPTION.replace("%", r"\%"))
    .replace("†", r"\textsuperscript{\dag}")
    .replace("≈", r"$\approx$")
)


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """The runs in two run files."""
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, rows in zip(paths, (RUNS[:5], RUNS[5:]), strict=True):
        pd.DataFrame(rows).to_csv(path, index=False)
    return paths


@pytest.fixture
def collected(files) -> pd.DataFrame:
    return collect(files)


@pytest.mark.parametrize(("ties", "said"), [(60.4, True), (50.0, False)])
def test_a_caption_says_where_rmia_tells_hardly_any_samples_apart(ties, said):
    rows = [run("retrained", "random10", [90, 100, 90, 50, 10]), run("ft", "random10", [91, 96, 88, 52, 14])]
    rows[1]["rmia_ties"] = ties
    layout = replace(ONE, rows=ONE.rows[:2])
    runs = pd.DataFrame(rows).assign(average_gap_ft_auc=2.0)
    text = caption(summarise(runs, layout), layout)
    assert ("RMIA gave one score to up to 60% of the samples of a model" in text) == said
    assert "RMIA gave" not in caption(summarise(runs, layout), replace(layout, metrics=["test_accuracy"], mia="mis"))


def test_a_summary_has_mean_std_and_count_of_the_runs_that_did_not_diverge(collected):
    summary = summarise(collected, LAYOUT).set_index("method")
    assert list(summary.index) == ["retrained", "ft", "l1_sparse", "my_method"]
    ft = summary.loc["ft"]
    assert ft.random10_unlearn_accuracy_mean == 93
    assert ft.random10_unlearn_accuracy_std == pytest.approx(math.sqrt(8))  # (4 + 4) / (2 - 1)
    assert ft.random10_average_gap_mean == 2.25  # of (4 + 2 + 2 + 2) / 4 and (0 + 4 + 2 + 2) / 4
    assert ft.random10_average_gap_std == pytest.approx(math.sqrt(0.125))
    assert (ft.random10_average_gap_count, ft.random10_diverged) == (2, 1)
    assert (ft.half_average_gap_count, ft.half_diverged) == (1, 0)
    assert math.isnan(ft.half_average_gap_std)
    assert summary.loc["my_method", ["random10_ft_auc_count", "random10_diverged"]].tolist() == [0, 1]
    assert math.isnan(summary.random10_average_gap_mean["retrained"])


def test_a_method_is_not_called_diverged_where_the_retrained_models_are():
    runs = pd.DataFrame([run("retrained", "random10"), run("ft", "random10", [91, 96, 88, 52, 14])])
    layout = replace(ONE, rows=ONE.rows[:2])
    summary = summarise(runs.assign(average_gap_ft_auc=math.nan), layout)
    text = markdown(summary, layout).splitlines()
    assert [cell.strip() for cell in text[-1].split("|")[-3:-1]] == ["52.00", "-"]
    assert text[-2].count("diverged†") == 4
    assert "-: the retrained models diverged, so there is no gap." in text[0]


def test_a_mean_is_no_median():
    runs = pd.DataFrame([run("ft", "random10", [value, 98, 88, 52, 14]) for value in (90, 91, 98)])
    summary = summarise(runs.assign(average_gap_ft_auc=runs.unlearn_accuracy / 10), replace(ONE, rows=ONE.rows[1:2]))
    assert summary.random10_unlearn_accuracy_mean.item() == 93
    assert summary.random10_average_gap_mean.item() == pytest.approx(9.3)


def test_a_table_with_mis_shows_mis_and_its_gap_and_says_what_tuning_saw(collected):
    layout = replace(LAYOUT, mia="mis", metrics=[*GAP_METRICS, "mis", "average_gap"])
    summary = summarise(collected, layout).set_index("method")
    assert summary.half_mis_mean["ft"] == 28
    assert summary.half_average_gap_mean["ft"] == 2
    assert not summary.columns.str.contains("ft_auc").any()
    text = markdown(summary.reset_index(), layout)
    assert "MIS (50%)" in text
    assert "with MIS as the attack" in text
    assert "tuned once, on a forget set of their own, by the Avg. Gap with FT AUC" in text


def test_the_other_access_is_another_table(collected):
    layout = replace(ONE, rows=[Row("retrained"), Row("ft", "without_remain")])
    assert summarise(collected, layout).random10_unlearn_accuracy_mean.tolist() == [91, 0]
    with pytest.raises(ValueError, match=r"Table 1: found no run of l1_sparse \(without_remain\) for random10"):
        summarise(collected, replace(layout, rows=[*layout.rows, Row("l1_sparse", "without_remain")]))


def test_both_accesses_as_rows(collected):
    """Table 7's layout: one method, a row for each access."""
    layout = replace(ONE, rows=[Row("retrained"), Row("ft", "with_remain"), Row("ft", "without_remain")])
    summary = summarise(collected, layout)
    assert summary.random10_test_accuracy_mean.tolist() == [90, 88, 0]
    assert summary.access.tolist() == ["", "with_remain", "without_remain"]
    text = markdown(summary, layout)
    assert "| FT with D_R " in text
    assert "| FT no D_R " in text
    assert "Unlearning with and without access to D_R:" in text


def test_both_accesses_as_columns(collected):
    """The layout of Tables 8 and 9: each access has columns of its own, and its own best."""
    groups = [
        Group("random10", "10%", "Random forget (10%)", access=access) for access in ("with_remain", "without_remain")
    ]
    layout = replace(ONE, rows=[Row("retrained"), Row("ft")], groups=groups, metrics=["test_accuracy", "average_gap"])
    summary = summarise(collected, layout).set_index("method")
    assert summary.with_remain_random10_test_accuracy_mean.tolist() == [90, 88]
    assert summary.without_remain_random10_test_accuracy_mean.tolist() == [90, 0]  # retrained models have no access
    text = markdown(summary.reset_index(), layout)
    assert "Test Acc (10%, with D_R) | Avg. Gap (10%, with D_R)" in text
    assert text.count("**") == 4
    assert r"\multicolumn{2}{c}{Random forget (10\%), no $D_R$}" in latex(summary.reset_index(), layout)


def test_without_a_gap_nothing_is_marked_and_the_caption_is_silent_about_it(collected):
    layout = replace(ONE, metrics=["ft_auc", "test_accuracy"])
    text = markdown(summarise(collected, layout), layout)
    assert "**" not in text
    assert "Avg. Gap is" not in text
    alone = replace(ONE, metrics=["ft_auc"])
    assert "over 0 to 2 runs a method" in caption(summarise(collected, alone), alone)


def test_runs_of_two_experiments_are_no_table(collected):
    both = pd.concat([collected, collected.assign(experiment="other")])
    with pytest.raises(ValueError, match="toy, other"):
        summarise(both, LAYOUT)


@pytest.mark.parametrize(("gaps", "expected"), [
    ([3.0, 1.0, 2.0], [None, 0, 1]),
    ([1.0, 1.0, 2.0], [0, 0, 1]),  # a tie for the first place leaves a second
    ([1.0, 2.0, 2.0], [0, 1, 1]),
    ([1.001, 1.004, 3.0], [0, 0, 1]),  # the same in print
    ([2.675, 2.67, 2.68], [0, 0, 1]),  # 2.675 is 2.67499... and printed as 2.67
    ([math.nan, 2.0, math.nan], [None, 0, None]),
    ([math.nan] * 3, [None] * 3),
    ([9.0, 10.0, 11.0], [0, 1, None]),  # as numbers, not as text
])  # fmt: skip
def test_ties_share_a_mark(gaps, expected):
    assert ranks([math.nan, *gaps]) == [None, *expected]


def test_a_method_that_is_not_told_from_the_lowest_has_a_mark_and_one_that_is_told_has_none():
    """In each group of columns: FT is far from the lowest in one and beside it in the other."""
    rows = [
        run("retrained", forget, [90, 100, 90, 50, 10], which=s) for s in range(3) for forget in ("random10", "half")
    ]
    for s, o in itertools.product(range(3), range(3)):
        unlearn = 91 + 0.4 * s + 0.2 * o  # what sets and originals have in common for all
        rows += [run("l1_sparse", f, [unlearn, 100, 90, 50, 10], s, original=o) for f in ("random10", "half")]
        rows.append(run("ft", "random10", [unlearn, 100, 60 + 0.1 * (s == o), 50, 10], s, original=o))
        rows.append(run("ft", "half", [unlearn, 100, 90 + (0, 0.1, 0.3)[o], 50, 10], s, original=o))
        rows += [run("my_method", f, None, s, original=o) for f in ("random10", "half")]
    runs = pd.DataFrame(rows)
    reference = [90, 100, 90, 50]
    gaps = pd.Series(average_gap(runs[[*GAP_METRICS, "ft_auc"]].to_numpy(), reference))
    runs["average_gap_ft_auc"] = gaps.where(runs.method != "retrained")
    summary = summarise(runs, LAYOUT)
    assert summary.random10_like_the_lowest.tolist()[1:3] == [False, True]
    assert summary.half_like_the_lowest.tolist()[1:3] == [True, True]
    assert summary.half_like_the_lowest.isna().tolist() == [True, False, False, True]
    cells = [line.split("|")[6].strip() for line in markdown(summary, LAYOUT).splitlines()[-3:]]
    assert cells == ["<u>7.89</u> ± 0.10", "**0.40** ± 0.10", "diverged†"]
    assert markdown(summary, LAYOUT).splitlines()[-3].split("|")[-2].strip() == "<u>0.43</u> ± 0.12 ≈"
    assert r"\underline{0.43} $\pm$ 0.12 $\approx$" in latex(summary, LAYOUT)
    alone = replace(LAYOUT, rows=LAYOUT.rows[:2])
    assert "≈" not in markdown(summarise(runs, alone), alone)


def test_the_best_of_each_family_is_marked(collected):
    lines = markdown(summarise(collected, LAYOUT), LAYOUT).splitlines()
    last = [line.split("|")[-2].strip() for line in lines[-4:]]
    assert last == ["0.00", "**1.00**", "**1.00**", "<u>2.00</u> ≈"]


def test_markdown_letter_by_letter(collected):
    assert markdown(summarise(collected, ONE), ONE) == MARKDOWN


def test_latex_letter_by_letter(collected):
    assert latex(summarise(collected, ONE), ONE) == LATEX


def test_latex_has_a_group_of_columns_for_each_family(collected):
    lines = latex(summarise(collected, LAYOUT), LAYOUT).splitlines()
    assert lines[3] == r"\begin{tabular}{lcccccccccc}"
    assert lines[5].endswith(r"\multicolumn{5}{c}{Random forget (50\%)} \\ \cmidrule(lr){2-6} \cmidrule(lr){7-11}")
    assert {line.count("&") for line in lines[6:12] if "&" in line} == {10}


def test_markdown_lines_up(collected):
    lines = markdown(summarise(collected, LAYOUT), LAYOUT).splitlines()[2:]
    assert len({tuple(k for k, letter in enumerate(line) if letter == "|") for line in lines}) == 1


def test_how_a_group_is_judged_is_said_once_in_the_caption(collected):
    groups = [Group(name, "class 3", "Class 3", "As classes are.") for name in ("random10", "half")]
    said = markdown(summarise(collected, replace(LAYOUT, groups=groups)), replace(LAYOUT, groups=groups))
    assert said.count("As classes are.") == 1
    assert "Avg. Gap (class 3)" in said


def test_the_step_writes_the_same_bytes_each_time_whatever_the_order_of_files(files, tmp_path):
    written = []
    for number, paths in enumerate((files, files, files[::-1])):
        outputs = [tmp_path / str(number) / name for name in ("t.csv", "t.md", "t.tex")]
        table(runs=paths, layout=LAYOUT, csv=outputs[0], markdown_file=outputs[1], latex_file=outputs[2])
        written.append([path.read_bytes() for path in outputs])
    assert written[0] == written[1] == written[2]
    head, *rows = written[0][0].decode().splitlines()
    assert head.startswith(
        "method,access,random10_unlearn_accuracy_mean,random10_unlearn_accuracy_std,random10_unlearn_"
    )
    assert rows[1].startswith("ft,with_remain,93.000000,2.828427,2,97.000000,1.414214,2,88.000000,0.000000,2,")
    assert written[0][1].decode() == markdown(summarise(collect(files), LAYOUT), LAYOUT)
