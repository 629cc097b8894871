"""Differences and their intervals: by hand, against the analysis of variance and t tests, and by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from amun_steps.judging.comparison import difference, holm, like_the_lowest
from amun_steps.judging.divergences import klom
from amun_steps.judging.epsilon import epsilons
from amun_steps.views.comparison import COLUMNS, comparison, draw, markdown, pairs
from amun_steps.views.judges import ENOUGH, JUDGES, distances, heard, load
from amun_steps.views.tables import ALIKE

CROSSED = ["set", "original"]


def cells(values, names=CROSSED) -> pd.Series:
    """An array with an axis for each of `names`, as `difference` takes it."""
    values = np.asarray(values, dtype=float)
    return pd.Series(values.ravel(), pd.MultiIndex.from_product([range(n) for n in values.shape], names=names))


def literal(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, half width of the interval and degrees of freedom of a table of sets x originals, by mean squares."""
    sets, originals = values.shape
    mean = sum(values[s][o] for s in range(sets) for o in range(originals)) / (sets * originals)
    of_sets = originals * sum((values[s].mean() - mean) ** 2 for s in range(sets)) / (sets - 1)
    of_originals = sets * sum((values[:, o].mean() - mean) ** 2 for o in range(originals)) / (originals - 1)
    freedom = (of_sets + of_originals) ** 2 / (of_sets**2 / (sets - 1) + of_originals**2 / (originals - 1))
    error = math.sqrt((of_sets + of_originals) / (sets * originals))
    return mean, t.ppf(0.975, freedom) * error, freedom


def test_a_table_by_hand():
    found = difference(cells([[1, 3], [2, 6]]))
    # sets' means 2 and 4, originals' 1.5 and 4.5, of 3: mean squares 4 and 9, over 4 cells 1 and 2.25
    assert found.mean == 3
    assert found.freedom == pytest.approx(3.25**2 / (1 + 2.25**2))
    half = t.ppf(0.975, found.freedom) * math.sqrt(3.25)
    assert (found.low, found.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert found.p == pytest.approx(2 * t.sf(3 / math.sqrt(3.25), found.freedom))
    assert (found.cells, found.over) == (4, ("set", "original"))


@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_a_whole_table_is_that_of_the_mean_squares(sets, originals, seed):
    values = np.random.default_rng(seed).normal(size=(sets, originals)) * 3 + 1
    found, (mean, half, freedom) = difference(cells(values)), literal(values)
    np.testing.assert_allclose(
        [found.mean, found.high - found.mean, found.mean - found.low, found.freedom], [mean, half, half, freedom]
    )


@pytest.mark.parametrize(("shape", "name"), [((5, 1), "set"), ((1, 4), "original")])
def test_one_kind_of_cluster_is_a_t_test(shape, name):
    values = np.random.default_rng(1).normal(1, 1, shape)
    found, expected = difference(cells(values)), ttest_1samp(values.ravel(), 0)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high, found.p], [interval.low, interval.high, expected.pvalue])
    assert (found.over, found.freedom) == ((name,), pytest.approx(values.size - 1))


def test_replicates_are_the_samples_where_there_are_several():
    values = np.random.default_rng(2).normal(size=(4, 3, 2))
    found = difference(cells(values, ["replicate", *CROSSED]))
    expected = ttest_1samp(values.mean(axis=(1, 2)), 0)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high, found.p], [interval.low, interval.high, expected.pvalue])
    assert found.over == ("replicate",)
    one = difference(cells(values[:1], ["replicate", *CROSSED]))
    assert one == difference(cells(values[0]))


def test_cells_that_diverged_do_not_count():
    values = np.arange(9.0).reshape(3, 3)
    values[1, 2] = math.nan
    found = difference(cells(values))
    left = values[np.isfinite(values)]
    assert (found.mean, found.cells) == (left.mean(), 8)
    sums = [np.nansum(values - left.mean(), axis=axis) for axis in (0, 1)]
    variances = [3 / 2 * (s**2).sum() / 8**2 for s in sums]
    assert found.freedom == pytest.approx(sum(variances) ** 2 / sum(v**2 / 2 for v in variances))
    assert (found.high - found.mean) / t.ppf(0.975, found.freedom) == pytest.approx(math.sqrt(sum(variances)))


def test_one_set_and_one_original_say_nothing_of_others():
    found = difference(cells([[2.5]]))
    assert (found.mean, found.cells, found.over) == (2.5, 1, ())
    assert np.isnan([found.low, found.high, found.p, found.freedom]).all()
    nothing = difference(cells([[math.nan]]))
    assert math.isnan(nothing.mean)
    assert nothing.cells == 0


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_differences_that_are_all_the_same_have_no_spread(value, p):
    found = difference(cells(np.full((3, 3), value)))
    assert found.low == found.high == found.mean == pytest.approx(value)
    assert found.p == p


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0.1, 10))
def test_an_interval_moves_and_turns_with_its_numbers(seed, moved, scale):
    values = np.random.default_rng(seed).normal(size=(3, 2))
    one, other, turned = (difference(cells(v)) for v in (values, scale * values + moved, -values))
    np.testing.assert_allclose([other.low, other.high], [scale * one.low + moved, scale * one.high + moved], atol=1e-9)
    np.testing.assert_allclose([turned.low, turned.high, turned.p], [-one.high, -one.low, one.p], atol=1e-9)


def draws(rng, sets, originals, effects, count):
    of_sets, of_originals, rest = effects
    return (
        of_sets * rng.normal(size=(count, sets, 1))
        + of_originals * rng.normal(size=(count, 1, originals))
        + rest * rng.normal(size=(count, sets, originals))
    )


@pytest.mark.parametrize(("sets", "originals", "effects", "said"), [
    (3, 3, (1, 0, 0), (0.94, 0.96)),  # a t test of three
    (3, 3, (1, 1, 0), (0.94, 0.97)),
    (3, 3, (1, 0.5, 1), (0.94, 0.98)),
    (3, 3, (0, 0, 1), (0.98, 0.99)),  # the clusters are all alike: twice the variance
    (10, 3, (0.5, 1, 0), (0.92, 0.94)),
    (10, 2, (0.5, 1, 0), (0.88, 0.9)),
])  # fmt: skip
def test_the_interval_has_the_truth_as_often_as_it_is_said_to(sets, originals, effects, said):
    """`effects`: the sizes of those of sets, of originals, and of what is neither. 600 draws know a share to 2%."""
    found = [difference(cells(one)) for one in draws(np.random.default_rng(3), sets, originals, effects, 600)]
    assert said[0] - 0.02 <= np.mean([one.low <= 0 <= one.high for one in found]) <= said[1] + 0.02


def test_cells_taken_as_independent_would_have_it_far_less_often():
    """What the clustering is for: the usual interval of nine numbers, on the same draws."""
    values = draws(np.random.default_rng(3), 3, 3, (1, 1, 0.3), 1000).reshape(1000, 9)
    interval = ttest_1samp(values, 0, axis=1).confidence_interval(0.95)
    assert ((interval.low <= 0) & (interval.high >= 0)).mean() < 0.8


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.02, math.nan, 0.9, 0.6]), [0.06, math.nan, 1.0, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p):
    """The procedure as it is written: the k-th smallest of m is held against 5% / (m - k), until one is not below."""
    rejected = set()
    for k, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] > 0.05 / (len(p) - k):
            break
        rejected.add(int(index))
    assert {k for k, value in enumerate(holm(p)) if value <= 0.05 * (1 + 1e-12)} == rejected


def test_a_method_far_above_the_lowest_is_told_from_it_and_one_beside_it_is_not():
    rng = np.random.default_rng(4)
    base = rng.normal(size=(3, 3))  # the same sets and originals for all
    made = {
        name: cells(base + above + 0.1 * rng.normal(size=(3, 3))) for name, above in (("a", 0), ("b", 9), ("c", 0.05))
    }
    assert like_the_lowest(made | {"diverged": cells(np.full((3, 3), math.nan))}) == {"a": True, "b": False, "c": True}
    assert like_the_lowest({"b": made["b"]}) == {"b": True}
    assert like_the_lowest({}) == {}


def test_a_method_that_is_lower_wherever_both_have_a_number_is_not_told_from_the_lowest():
    """The one with the lowest mean lacks the set that is hard for all."""
    lowest, other = cells([[2.0], [2.01], [1.99], [math.nan]]), cells([[1.0], [1.02], [1.0], [10.0]])
    assert difference(other - lowest).high < 0
    assert like_the_lowest({"lowest": lowest, "other": other}) == {"lowest": True, "other": True}


def test_where_nothing_is_known_of_the_spread_no_method_is_told_from_another():
    assert like_the_lowest({"a": cells([[1.0]]), "b": cells([[50.0]])}) == {"a": True, "b": True}


def test_the_number_of_methods_and_the_one_side_count():
    """Two cells make a t of one degree of freedom: t = 11 has a p of 0.058, one-sided 0.029, below 5% and not below a
    half of it."""
    one, other = cells([[0.0], [0.0]]), cells([[10.0], [12.0]])
    assert difference(other - one).p == pytest.approx(0.0577, abs=1e-4)
    assert not like_the_lowest({"one": one, "other": other})["other"]
    assert like_the_lowest({"one": one, "other": other, "third": cells([[40.0], [40.5]])})["other"]


def test_the_truly_lowest_is_left_out_in_at_most_5_percent_of_cases():
    """Five methods that are all alike: whichever is named the lowest truly, it is among those that are marked."""
    rng, count, names = np.random.default_rng(5), 200, "abcde"
    there = 0
    for _ in range(count):
        base = draws(rng, 3, 3, (1, 1, 0.5), 1)[0]
        there += like_the_lowest({n: cells(base + draws(rng, 3, 3, (0.5, 0.5, 0.5), 1)[0]) for n in names})["a"]
    assert there / count >= 0.95


# ---- the views -------------------------------------------------------------------------------------------------------


def run(method, which, original, ft_auc, access="with_remain", gap=None, experiment="toy") -> dict:
    """A row of a view of runs, whose other metrics are those of the retrained models."""
    keys = {"experiment": experiment, "method": method, "access": access, "forget": "random10"}
    keys["replicate"] = 0
    metrics = {"ft_auc": ft_auc, "fr_auc": 60.0, "tpr_at_1_fpr": 1.0, "mis": 9.0, "unlearn_accuracy": 98.0}
    metrics |= {"retain_accuracy": 100.0, "test_accuracy": 97.0, "average_gap_ft_auc": gap, "average_gap_mis": gap}
    return keys | {"set": which, "original": original} | metrics


OF_RUNS = [judge for judge in JUDGES if judge.column in run("ft", 0, 0, 50.0)]
RETRAINED = [run("retrained", s, None, 48.0 + 2 * s + k, "") for s in range(2) for k in (-1, 1)]  # means 48 and 50


BASE, NEAR = np.array([[1.0, 2.0], [1.5, 2.5]]), np.array([[0.1, -0.05], [0, 0.1]])


def toy(**methods) -> pd.DataFrame:
    """Views of runs, from each method's FT AUCs and gaps, sets x originals; NaN diverged."""
    rows = [
        run(name, s, o, value, gap=value)
        for name, values in methods.items()
        for s, line in enumerate(values)
        for o, value in enumerate(line)
    ]
    return pd.DataFrame([*RETRAINED, *rows, run("original", 0, 0, 90.0, "", 9.0)])


def test_distances_are_from_what_a_judge_is_to_be_and_means_over_runs():
    runs = pd.DataFrame(
        [*RETRAINED, run("ft", 0, 0, 51.0, gap=2.0), run("ft", 0, 0, 44.0, gap=4.0), run("ft", 1, 0, 44.0)]
    )
    found = distances(runs).droplevel(["experiment", "forget", "access", "method", "replicate", "original"])
    assert found.ft_auc.tolist() == [(3 + 4) / 2, 6]  # from 48 and from 50
    assert found.ft_auc_to_50.tolist() == [(1 + 6) / 2, 6]
    assert found.average_gap_ft_auc[0] == 3
    assert math.isnan(found.average_gap_mis[1])
    assert (found.test_accuracy == 0).all()
    assert list(found) == ["diverged", *(judge.name for judge in OF_RUNS)]


def test_pairs_are_differences_in_each_setting_adjusted_for_their_number():
    runs = toy(ft=[[1, 3], [2, 6]], rl=[[0, 0], [0, 0]], ga=[[9, 9.5], [9, 10]])
    found = pairs(distances(runs)).set_index(["judge", "method", "other"])
    assert len(found) == 3 * len(OF_RUNS)
    of_judge = found.loc["average_gap_ft_auc"]
    assert of_judge.index.tolist() == [("ft", "rl"), ("ft", "ga"), ("rl", "ga")]
    row, expected = found.loc["average_gap_ft_auc", "ft", "rl"], difference(cells([[1, 3], [2, 6]]))
    assert (row.difference, row.low, row.high, row.p) == (expected.mean, expected.low, expected.high, expected.p)
    assert (row.method_mean, row.other_mean, row.over, row.cells) == (3, 0, "set and original", 4)
    np.testing.assert_allclose(of_judge.p_adjusted, holm(of_judge.p))
    assert of_judge.distinguishable.tolist() == (of_judge.p_adjusted <= 0.05).tolist() == [False, False, True]
    same = found.loc["test_accuracy", "ft", "rl"]
    assert (same.difference, same.p_adjusted, same.distinguishable) == (0, 1, False)


NEARLY = {"a": [0.0, 0.0, 0.0], "b": [1.0, 1.5, 0.7], "c": [1.0, 1.4, 0.75]}
"""Of three sets: b and c are above a with p below 5% each, and above 5% where the number of pairs counts."""


def test_a_pair_that_is_told_apart_by_itself_is_not_among_many():
    rows = [*RETRAINED, run("retrained", 2, None, 50.0, "")]
    rows += [run(m, s, 0, 50.0, gap=gap) for m, gaps in NEARLY.items() for s, gap in enumerate(gaps)]
    found = pairs(distances(pd.DataFrame(rows))).set_index("judge").loc["average_gap_ft_auc"]
    assert (found.p < 0.05).tolist() == [True, True, False]
    assert found.distinguishable.tolist() == [False] * 3


def test_methods_of_other_settings_are_not_compared():
    both = pd.concat([toy(ft=[[1, 2], [3, 4]]), toy(rl=[[1, 2], [3, 4]]).assign(experiment="other")])
    assert pairs(distances(both)).empty


def test_a_method_that_diverged_has_no_difference():
    found = pairs(distances(toy(ft=[[1, 3], [2, 6]], ga=[[math.nan] * 2] * 2)))
    row = found[found.judge == "average_gap_ft_auc"].iloc[0]
    assert np.isnan([row.difference, row.low, row.p, row.p_adjusted]).all()
    assert (row.cells, row.distinguishable) == (0, "")


def test_the_table_has_the_lowest_first_and_bold_and_marks_what_is_not_told_from_it():
    near, far = NEAR + BASE, BASE + np.array([[20, 20.1], [20, 20]])
    runs = toy(ga=[[math.nan] * 2] * 2, far=far, near=near, amun=BASE)
    lines = [line.split("|") for line in markdown(distances(runs)).splitlines() if line.startswith("|")]
    names, gaps, accuracies = ([line[k].strip() for line in lines[2:]] for k in (1, 2, -2))
    assert names == ["AMUN", "near", "far", "GA"]
    above = [difference(cells(values - BASE)) for values in (near, far)]
    intervals = [f"[{one.low:.2f}, {one.high:.2f}]" for one in above]
    assert gaps == ["**1.75**", f"1.79 ≈ {intervals[0]}", f"21.77 {intervals[1]}", "diverged"]
    assert accuracies == [*["**0.00** ≈ [0.00, 0.00]"] * 3, "**0.00**"]
    assert len({len(line) for line in lines}) == 1


def test_the_step_writes_the_same_bytes_each_time_also_of_nothing(tmp_path):
    toy(ft=[[1, 3], [2, 6]], rl=[[0, 0], [0, 0]]).to_csv(tmp_path / "runs.csv", index=False)
    toy(ft=[[1, 3], [2, 6]]).to_csv(tmp_path / "alone.csv", index=False)
    written = []
    for name in ("runs", "runs", "alone"):
        kinds = {"csv": "csv", "markdown_file": "md", "pdf": "pdf", "png": "png"}
        files = {kind: tmp_path / str(len(written)) / f"comparison.{end}" for kind, end in kinds.items()}
        comparison(runs=[tmp_path / f"{name}.csv"], **files)
        written.append([path.read_bytes() for path in files.values()])
    assert written[0] == written[1]
    assert written[0][2].startswith(b"%PDF")
    assert written[0][3].startswith(b"\x89PNG")
    assert len(written[0][0].splitlines()) == 1 + len(OF_RUNS)
    assert written[2][0].decode() == ",".join(COLUMNS) + "\n"


def test_a_filled_dot_is_told_from_the_lowest():
    runs = toy(ft=BASE + 20, rl=BASE, amun=NEAR + BASE)
    (axis,) = draw(distances(runs)).axes
    dots = {round(line.get_ydata()[0]): line for line in axis.lines if line.get_marker() != "None"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["FT", "RL", "AMUN"]
    assert [dots[k].get_xdata()[0] for k in range(3)] == pytest.approx([20, 0, 0.0375])
    assert [dots[k].get_markerfacecolor() == "white" for k in range(3)] == [False, True, True]


def test_replicates_are_compared_each_with_its_own_retrained_models():
    both = pd.concat([toy(ft=BASE, rl=BASE + 1), toy(ft=BASE, rl=BASE + 3).assign(replicate=1)])
    both.loc[(both.method == "retrained") & (both.replicate == 1), "ft_auc"] += 10
    found = distances(both)
    of_ft = found.ft_auc.xs("ft", level="method")
    change = of_ft.xs(1, level="replicate") - of_ft.xs(0, level="replicate")
    assert change.tolist() == [10] * 4
    row = pairs(found).set_index("judge").loc["average_gap_ft_auc"]
    expected = ttest_1samp([-1, -3], 0).confidence_interval(0.95)
    assert (row.difference, row.over, row.cells) == (-2, "replicate", 8)
    assert (row.low, row.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


# ---- judgements (see amun_steps.views.judgements) --------------------------------------------------------------------


def judgement(method, which, judge, value, original=None, run=None, replicate=0) -> dict:
    access = "" if method in ("retrained", "original") else "with_remain"
    keys = {"experiment": "toy", "method": method, "access": access, "forget": "random10", "set": which}
    return keys | {"original": original, "run": run, "judge": judge, "value": value, "replicate": replicate}


def loaded(tmp_path, runs: pd.DataFrame, judged: list[dict]) -> pd.DataFrame:
    """The files of a view of runs and of judgements, read."""
    runs.to_csv(tmp_path / "runs.csv", index=False)
    pd.DataFrame(judged).to_csv(tmp_path / "judges.csv", index=False)
    return load([tmp_path / "runs.csv"], tmp_path / "judges.csv")


def test_judgements_are_those_of_their_runs_and_of_all_runs_of_their_set(tmp_path):
    runs = toy(ft=[[1.0, 2.0], [3.0, 4.0]], rl=[[1.0, 2.0], [3.0, 4.0]]).assign(run=0)
    runs.loc[runs.method == "original", "run"] = None
    runs.loc[runs.method == "retrained", "run"] = [0, 1, 0, 1]
    judged = [judgement("ft", s, "tow", 0.9 - 0.1 * s - 0.2 * o, o, 0) for s in range(2) for o in range(2)]
    judged += [judgement("retrained", s, "lira_auc", 48 + 4 * s + r, run=r) for s in range(2) for r in range(2)]
    judged += [judgement("ft", s, "lira_auc", 60.0 + o, o, 0) for s in range(2) for o in range(2)]
    judged += [judgement("ft", s, "klom_forget", 5.0 + s) for s in range(2)]
    found = loaded(tmp_path, runs, judged)
    assert len(found) == len(runs)
    assert found.method.tolist() == runs.method.tolist()
    ft = found[found.method == "ft"]
    np.testing.assert_allclose(ft.tow, [0.9, 0.7, 0.8, 0.6])
    assert ft.klom_forget.tolist() == [5, 5, 6, 6]
    assert found[found.method.isin(["rl", "original"])].tow.isna().all()
    cells = distances(found).xs("ft", level="method")
    np.testing.assert_allclose(cells.tow, [0.1, 0.3, 0.2, 0.4])  # from 1
    np.testing.assert_allclose(cells.lira_auc, [60 - 48.5, 61 - 48.5, 60 - 52.5, 61 - 52.5])
    assert cells.klom_forget.isna().all()  # two models of a set are far fewer than it wants
    assert [judge.name for judge in heard(cells)][-2:] == ["test_accuracy", "tow"]


def test_a_judge_of_distributions_is_asked_where_there_are_as_many_models_as_it_wants(tmp_path):
    many = [run("ft", 0, 0, 50.0, gap=1.0) | {"run": k} for k in range(50)]
    retrained = [run("retrained", 0, None, 50.0, "") | {"run": k} for k in range(50)]
    diverged = [run("retrained", 0, None, math.nan, "") | {"run": 50}]
    for left_out, expected in ((0, 7.0), (1, math.nan)):
        for rows in ([*many[left_out:], *retrained], [*many, *retrained[left_out:], *diverged]):
            found = distances(loaded(tmp_path, pd.DataFrame(rows), [judgement("ft", 0, "klom_forget", 7.0)]))
            np.testing.assert_equal(found.klom_forget.tolist(), [expected])


@pytest.mark.parametrize(("judge", "measure", "few"), [("epsilon", epsilons, 15), ("klom", klom, 30)])
def test_enough_models_tell_a_shift_by_a_standard_deviation_in_half_of_the_samples(judge, measure, few):
    """At 5%; 4000 samples of each."""

    def told(models: int) -> float:
        unlearned, retrained, shifted = np.random.default_rng(0).normal(size=(3, models, 4000))
        return (measure(shifted + 1, retrained) > np.quantile(measure(unlearned, retrained), 0.95)).mean()

    assert 0.5 <= told(ENOUGH[judge]) < 0.6
    assert told(few) < 0.4


@pytest.mark.parametrize(("n", "m"), [(9, 3), (3, 3), (20, 20)])
def test_so_few_models_show_no_epsilon_above_the_largest_of_rules_that_err(n, m):
    unlearned, retrained = np.random.default_rng(0).normal(size=(2, max(n, m), 1000))
    found = epsilons(unlearned[:n] + 2, retrained[:m])
    assert found[found < 50].max() == pytest.approx(math.log(max(n - n / m, m - m / n)), abs=1e-4)


def test_what_is_known_of_a_set_says_nothing_of_how_originals_differ(tmp_path):
    """One judgement for all models of a set is one number, however many originals they are of."""
    runs, judged = [], []
    for s in range(2):
        runs += [run("retrained", s, None, 50.0, "") | {"run": k} for k in range(20)]
        for k, name in enumerate(("ft", "rl")):
            runs += [run(name, s, o, 50.0, gap=1.0) | {"run": 0} for o in range(20)]
            judged.append(judgement(name, s, "epsilon", 1.5 + k + 0.1 * s * k))
    cells = distances(loaded(tmp_path, pd.DataFrame(runs), judged))
    found = pairs(cells).set_index("judge").loc["epsilon"]
    expected = ttest_1samp([-1.0, -1.1], 0).confidence_interval(0.95)
    assert (found.cells, found.over) == (2, "set")
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    one = cells.xs(0, level="set", drop_level=False)
    alone = pairs(one).set_index("judge").loc["epsilon"]
    assert (alone.difference, alone.cells, alone.over) == (-1, 1, "")
    assert math.isnan(alone.p)
    assert f"2.50 {ALIKE}" in markdown(one)


def test_only_judges_that_were_asked_are_in_a_comparison(tmp_path):
    runs = toy(ft=BASE, rl=BASE + 1).assign(run=0)
    judged = [
        judgement(m, s, "jsd", 0.1234 + k, o, 0) for k, m in enumerate(("ft", "rl")) for s in range(2) for o in range(2)
    ]
    both = pd.concat([loaded(tmp_path, runs, judged), runs.assign(experiment="other")])
    found = pairs(distances(both)).groupby("experiment").judge.agg(list)
    names = [judge.name for judge in OF_RUNS]
    assert found["toy"] == [*names, "jsd"]
    assert found["other"] == names
    text = markdown(distances(both))
    assert text.count("| JSD ") == 1
    assert "**0.123**" in text
    assert "1.123 [1.000, 1.000]" in text
