"""Claims: each rule on numbers for which it holds, and on others for which it does not."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from amun_steps.judging.comparison import Difference, difference
from amun_steps.views.claims import claim, claims, of_clipped, of_figure, of_fine_tuning, of_requests, of_runs

RANDOM = ["random10"]


def run(method, gap, access="with_remain", ft_auc=50.0, which=0) -> dict:
    keys = {"experiment": "toy", "method": method, "access": "" if method == "retrained" else access}
    keys |= {"forget": "random10", "replicate": 0, "set": which, "original": math.nan if method == "retrained" else 0}
    measured = {"ft_auc": ft_auc, "fr_auc": 60.0, "test_accuracy": 90 - gap}
    return keys | measured | {"average_gap_ft_auc": gap, "average_gap_mis": gap + 1}


def held(rows) -> dict[str, str]:
    return {row["claim"]: row["held"] for row in rows}


def sets(method, *gaps, access="with_remain") -> list[dict]:
    """A run for each gap, of a forget set each."""
    return [run(method, gap, access, which=which) for which, gap in enumerate(gaps)]


def interval(*values: float) -> list[float]:
    """A t test's 95% interval of a mean."""
    return list(ttest_1samp(values, 0).confidence_interval(0.95))


@pytest.mark.parametrize(
    ("measured", "limits", "expected"),
    [
        ((-1, 0.5), {"below": 1}, "held"),
        ((-1, 1.5), {"below": 1}, "undecided"),
        ((1, 1.5), {"below": 1}, "failed"),
        ((0.1, 1.5), {"above": 0}, "held"),
        ((0.0, 1.5), {"above": 0}, "undecided"),
        ((-1, 0.0), {"above": 0}, "failed"),
        ((46, 54), {"above": 45, "below": 55}, "held"),
        ((44, 54), {"above": 45, "below": 55}, "undecided"),
        ((40, 44), {"above": 45, "below": 55}, "failed"),
        ((math.nan, math.nan), {"above": 0}, "undecided"),  # one set and one original
    ],
)
def test_a_claim_holds_where_its_whole_interval_does(measured, limits, expected):
    low, high = measured
    found = claim("", "", "", Difference(0.7, low, high, 0.5, 2, 3, ()), "", "", **limits)
    assert found["held"] == expected
    np.testing.assert_equal([found["measured"], found["low"], found["high"]], [0.7, low, high])


@pytest.mark.parametrize(("value", "expected"), [(0.9, "held"), (1.0, "failed"), (1.1, "failed"), (math.nan, "")])
def test_a_plain_number_has_no_interval_and_is_never_undecided(value, expected):
    found = claim("", "", "", value, "", "", below=1)
    assert found["held"] == expected
    assert np.isnan([found["low"], found["high"]]).all()


@pytest.mark.parametrize(("amun", "expected"), [(1.0, "held"), (2.1, "undecided"), (4.5, "failed")])
def test_amun_is_compared_with_the_best_of_the_prior_methods(amun, expected):
    rows = sets("amun", amun, amun + 0.1, amun) + sets("ft", 3.0, 3.4, 3.2)
    rows += sets("rl", 1.5, 2.1, 2.2) + sets("rl", 2.5, 2.3, 2.0)  # two runs a set, of the mean 2, 2.2 and 2.1
    rows += [run("amun_salun", 0.1)]  # not a prior method
    found = [row for row in of_runs(pd.DataFrame(rows), RANDOM) if row["source"] in ("6.1", "G")]
    assert [row["held"] for row in found] == [expected, expected]
    differences = amun - 2.0, amun + 0.1 - 2.2, amun - 2.1
    assert found[0]["measured"] == pytest.approx(np.mean(differences))
    assert [found[0]["low"], found[0]["high"]] == pytest.approx(interval(*differences))
    assert "that of rl" in found[0]["rule"]


def test_differences_are_paired_by_set_and_original():
    gaps = [[0.5, 1.5, 0.0], [1.0, 2.5, -0.5]]  # sets x originals; alike over sets, apart over originals
    rows = sets("ft", 3.0, 3.0) + sets("amun", 3.0, 3.0)
    rows = [row | {"original": o} for row in rows for o in range(3)]
    for row in rows:
        row["average_gap_ft_auc"] -= gaps[row["set"]][row["original"]] if row["method"] == "amun" else 0
    found = next(of_runs(pd.DataFrame(rows), RANDOM))
    levels = pd.MultiIndex.from_product([range(2), range(3)], names=["set", "original"])
    expected = difference(-pd.Series(np.ravel(gaps), levels))
    assert [found["low"], found["high"]] == pytest.approx([expected.low, expected.high])
    assert found["held"] == "undecided"


def test_nothing_can_be_said_of_a_method_whose_runs_all_diverged():
    rows = sets("amun", math.nan, math.nan) + sets("ft", 3.0, 3.0) + sets("rl", math.nan, math.nan)
    for row in rows:
        row["ft_auc"] = math.nan if math.isnan(row["average_gap_ft_auc"]) else 50.0
    *found, guessed = of_runs(pd.DataFrame(rows), RANDOM)
    assert [row["held"] for row in [*found, guessed]] == ["", "", ""]
    assert all("that of ft" in row["rule"] for row in found)
    without = [row for row in rows if row["method"] != "ft"]
    assert [row["claim"] for row in of_runs(pd.DataFrame(without), RANDOM)] == [guessed["claim"]]


@pytest.mark.parametrize("access", ["with_remain", "without_remain"])
def test_variants_are_worse_than_amun_and_better_than_prior_methods(access):
    gaps = {"amun": (1.0, 1.1), "amun_ffgsm": (2.0, 2.1), "ga": (3.0, 3.1)}
    rows = [row for method, values in gaps.items() for row in sets(method, *values, access=access)]
    assert held(of_runs(pd.DataFrame(rows), RANDOM))["AMUN is better than amun_ffgsm"] == "held"
    assert held(of_runs(pd.DataFrame(rows), RANDOM))["amun_ffgsm still beats the best prior method"] == "held"


@pytest.mark.parametrize(
    ("values", "expected"),
    [((49, 51, 50.5), "held"), ((56, 56.1, 56.2), "failed"), ((40, 60, 50), "undecided"), ((50,), "undecided")],
)
def test_an_attack_on_retrained_models_guesses(values, expected):
    rows = [run("retrained", math.nan, ft_auc=value + k, which=s) for s, value in enumerate(values) for k in (-1, 1)]
    (found,) = of_runs(pd.DataFrame(rows), RANDOM)
    assert found["held"] == expected
    assert found["measured"] == pytest.approx(np.mean(values))
    if len(values) > 1:  # models of one set are not independent
        assert [found["low"], found["high"]] == pytest.approx(interval(*values))


@pytest.mark.parametrize(("apart", "expected"), [(0, "held"), (7, "failed"), (4, "undecided")])
def test_an_attack_guesses_after_amun(apart, expected):
    rows = [run("amun", 1.0, ft_auc=50 + apart + k, which=k) for k in range(3)]
    (found,) = of_runs(pd.DataFrame(rows), RANDOM)
    assert (found["measured"], found["held"]) == (pytest.approx(51 + apart), expected)
    assert [found["low"], found["high"]] == pytest.approx(interval(*(50 + apart + k for k in range(3))))


def test_the_paper_claims_nothing_of_classes_and_memorised_samples():
    rows = sets("amun", 1.0, 1.1) + sets("ft", 3.0, 3.1) + [run("retrained", math.nan, which=k) for k in range(2)]
    both = pd.DataFrame([*rows, *(row | {"forget": "class"} for row in rows)])
    found = list(of_runs(both, RANDOM))
    assert found == list(of_runs(pd.DataFrame(rows), RANDOM))
    assert {row["where"].split(", ")[1] for row in found} == {"random10"}
    assert not list(of_runs(both, []))


def fine_tuned(adv, best) -> pd.DataFrame:
    last = {"orig": 99, "adv": adv, "adv_rs": best, "adv_rl": 20, "orig_rl": 30, "orig_advl": 40}
    rows = [{"set": s, "epoch": e, "mean": (95, v)[e], "panel": 3} for s, v in last.items() for e in range(2)]
    return pd.DataFrame([*rows, {"set": "adv", "epoch": 1, "mean": 0, "panel": 1}])


@pytest.mark.parametrize(("adv", "best", "expected"), [(90, 80, ["held"] * 2), (80, 84, ["failed"] * 2)])
def test_fine_tuning_on_the_adversarial_set_alone(adv, best, expected):
    found = list(of_fine_tuning(fine_tuned(adv, best), "fig1"))
    assert [row["held"] for row in found] == expected
    assert [row["measured"] for row in found] == [adv - best, 95 - adv]


def test_two_classes_have_fewer_substitutes():
    rows = fine_tuned(90, 80)
    found = next(of_fine_tuning(rows[~rows["set"].isin(["adv_rl", "orig_rl"])], "fig1"))
    assert (found["measured"], found["held"]) == (10, "held")


def test_nothing_can_be_said_of_substitutes_that_all_diverged():
    rows = fine_tuned(90, 80)
    rows.loc[(rows["set"] != "adv") & (rows.epoch == 1), "mean"] = math.nan
    substitutes, forgetting = of_fine_tuning(rows, "fig1")
    assert (substitutes["held"], math.isnan(substitutes["measured"]), forgetting["held"]) == ("", True, "held")


def test_amun_salun_is_compared_with_salun_and_without_access_with_amun():
    """Where their rows are there, and by the gap with either attack."""
    gaps = {"amun": 1.0, "amun_salun": 0.9, "salun": 0.8, "ga": 3.0}
    rows = [r for m, g in gaps.items() for a in ("with_remain", "without_remain") for r in sets(m, g, g, access=a)]
    found = [
        (row["claim"], row["where"], row["held"]) for row in of_runs(pd.DataFrame(rows), RANDOM) if row["source"] == "D"
    ]
    over, no = "AMUN+SalUn is better than SalUn", "Without D_R AMUN+SalUn is better than AMUN"
    told = [(claim, where.split(", ")[-1], kept) for claim, where, kept in found]
    assert told == [(over, "with D_R", "failed")] * 2 + [(over, "no D_R", "failed"), (no, "no D_R", "held")] * 2


@pytest.mark.parametrize(("gap", "expected"), [(2.0, "held"), (0.5, "failed")])
def test_transferred_examples_cost_test_accuracy(gap, expected):
    rows = sets("amun", 1.0, 1.1) + sets("amun_transferred", gap, gap + 0.1) + sets("ft", 3.0, 3.0)
    (found,) = (row for row in of_runs(pd.DataFrame(rows), RANDOM) if "test accuracy" in row["claim"])
    assert (found["measured"], found["held"]) == (pytest.approx(1.0 - gap), expected)


@pytest.mark.parametrize(("fr_auc", "expected"), [(54.0, "held"), (66.0, "failed"), (59.5, "undecided")])
def test_clipped_retrained_models_have_a_lower_fr_auc(fr_auc, expected):
    plain = pd.DataFrame([run("retrained", math.nan, which=k) for k in range(3)])
    clipped = plain.assign(experiment="clipped", fr_auc=[fr_auc, fr_auc + 0.2, fr_auc + 0.7])
    plain = plain.assign(fr_auc=[60.0, 60.1, 60.2])
    (found,) = of_clipped(clipped, plain)
    assert found["held"] == expected
    assert [found["low"], found["high"]] == pytest.approx(interval(fr_auc - 60, fr_auc - 59.9, fr_auc - 59.5))
    assert not list(of_clipped(clipped.assign(forget="random50"), plain))


def sequences(means: dict[str, tuple[float, ...]], apart: dict[str, float]) -> pd.DataFrame:
    """What a figure of requests plots of two sequences, whose values differ by `apart` after each request."""
    return pd.DataFrame(
        [
            {"method": m, "request": k + 1, "set": s, "value": v + (s - 0.5) * apart[m], "title": "no $D_R$"}
            for m, values in means.items()
            for k, v in enumerate(values)
            for s in range(2)
        ]
    )


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        ((12, 9), ["held"] * 3),
        ((12, 7.5), ["held"] * 2 + ["undecided"]),
        ((3, 9), ["held", "failed", "held"]),  # after the first request both are one model, whatever is written here
    ],
)
def test_requests_have_to_hold_after_each_of_them(again, expected):
    means = {"amun": (10, 8), "amun_adaptive": again, "ft": (2, 6), "rl": (4, 1)}
    rows = sequences(means, {"amun": 6.0, "amun_adaptive": 5.92, "ft": 5.9, "rl": 5.8})
    found = [row for row in of_requests(rows, "fig2") if row["source"] == "6.3"]
    assert [row["held"] for row in found] == expected
    assert found[0]["measured"] == pytest.approx(2)  # 8 - 6 after the second
    assert [found[0]["low"], found[0]["high"]] == pytest.approx(interval(1.95, 2.05))  # within each sequence
    assert "after request 2, to ft" in found[0]["rule"]


def test_a_claim_about_every_request_holds_where_each_interval_does():
    """Not that of the least mean alone; after the first request AMUN-A is AMUN, which shows nothing."""
    means = {"amun": (10, 8, 8), "amun_adaptive": (10, 8.5, 8.5), "ft": (5, 5, 2)}
    alike = sequences(means, {"amun": 1.0, "amun_adaptive": 1.0, "ft": 1.0})
    assert [row["held"] for row in of_requests(alike, "fig2") if row["source"] == "6.3"] == ["held"] * 3
    apart = alike.copy()
    apart.loc[(apart.method == "ft") & (apart.request == 3), "value"] += [-40, 40]  # 6 on average: not the least mean
    apart.loc[(apart.method == "amun_adaptive") & (apart.request == 3), "value"] += [-9, 9]
    found = [row for row in of_requests(apart, "fig2") if row["source"] == "6.3"]
    assert [row["held"] for row in found] == ["undecided"] * 3
    assert [row["rule"].partition(": ")[2] for row in found] == ["after request 3, to ft"] * 2 + [
        "after request 3, to amun"
    ]
    worse = apart.copy()
    worse.loc[(worse.method == "amun") & (worse.request == 2), "value"] -= 4  # told from FT, which is enough
    found = [row for row in of_requests(worse, "fig2") if row["source"] == "6.3"]
    assert (found[0]["held"], found[0]["measured"]) == ("failed", -1)
    one = alike[alike.request == 1]
    assert [(row["source"], row["held"]) for row in of_requests(one, "fig2")] == [("6.3", "held")] * 2


def test_a_method_that_diverged_after_some_request_has_not_been_better_after_each():
    rows = sequences({"amun": (10, 8), "ft": (2, 6)}, {"amun": 6.0, "ft": 5.9})
    rows.loc[(rows.method == "amun") & (rows.request == 2), "value"] = math.nan
    (found,) = (row for row in of_requests(rows, "fig2") if row["source"] == "6.3")
    assert (found["held"], math.isnan(found["measured"])) == ("", True)
    rows = sequences({"amun": (10, 8), "ft": (2, math.nan)}, {"amun": 6.0, "ft": 5.9})
    assert next(row["held"] for row in of_requests(rows, "fig2") if row["source"] == "6.3") == "", (
        "nothing is left of it"
    )
    rows = sequences({"amun": (10, 8), "ft": (2, math.nan), "rl": (4, 1)}, {"amun": 6.0, "ft": 5.9, "rl": 5.9})
    assert next(row["measured"] for row in of_requests(rows, "fig2") if row["source"] == "6.3") == pytest.approx(6)


@pytest.mark.parametrize(("last", "apart", "expected"), [(8, 0, "held"), (11, 0, "failed"), (8, 4, "undecided")])
def test_effectiveness_is_compared_between_the_first_and_the_last_request(last, apart, expected):
    rows = sequences({"amun": (10, 20, last), "ft": (1, 2, 3)}, {"amun": 3.0, "ft": 1.0})
    rows.loc[(rows.method == "amun") & (rows.request == 3) & (rows["set"] == 1), "value"] += apart
    (found,) = (row for row in of_requests(rows, "fig2") if row["source"] == "H")
    assert (found["measured"], found["held"]) == (last - 10 + apart / 2, expected)
    # both sequences fall alike, however far they lie apart
    ends = interval(last - 10, last - 10 + apart) if apart else [last - 10] * 2
    assert [found["low"], found["high"]] == pytest.approx(ends)


@pytest.mark.parametrize(("nearer", "expected"), [(2, "held"), (10, "failed"), (3, "undecided")])
def test_distances_count_points_under_the_line_original_by_original(nearer, expected):
    rows = pd.DataFrame({"x": np.ones(200), "y": np.tile(np.where(np.arange(100) < nearer, 0.5, 2.0), 2)})
    rows["original"] = np.repeat([0, 1], 100)
    rows.loc[100 + nearer, "y"] = 0.5 if nearer == 3 else 2.0  # one more of the second
    rows.loc[rows.index % 100 > 90, ["x", "y"]] = 0.0  # misclassified as they are: nearer by neither
    rows.loc[len(rows)] = [1.0, math.nan, 1]
    (found,) = of_figure("attack_distances", rows, "fig9")
    assert found["held"] == expected
    assert found["measured"] == nearer + 0.5 * (nearer == 3)
    assert 0 <= found["low"] <= found["high"] <= 100


@pytest.mark.parametrize(("farther", "expected"), [(98, "held"), (90, "failed"), (97, "undecided")])
def test_clipped_models_distances_are_counted_above_the_line(farther, expected):
    rows = pd.DataFrame({"x": np.ones(200), "y": np.tile(np.where(np.arange(100) < farther, 2.0, 1.0), 2)})
    rows["original"], rows["part"], rows["title"] = np.repeat([0, 1], 100), math.nan, "Distances"
    rows.loc[100 + farther, "y"] = 2.0 if farther == 97 else 1.0
    (found,) = of_figure("retrained_confidence", rows, "fig3")
    assert (found["source"], found["held"]) == ("6.2.2", expected)


def test_the_work_of_each_panel_is_below_three_runs():
    rows = pd.DataFrame({"title": ["a", "a", "b"], "runs_of_the_attack": [0.5, 0.5, 3.5]})
    assert [row["held"] for row in of_figure("epsilons", rows, "fig4")] == ["held", "failed"]


def test_confidence_on_the_forget_set_is_nearer_to_the_test_set_s():
    def panel(title, forget):
        return [{"title": title, "part": p, "mean": m} for p, m in (("remain", 8), ("test", 4), ("forget", forget))]

    rows = pd.DataFrame([*panel("Before, 10%", 8), *panel("After, 10%", 5), *panel("After, 50%", 7)])
    found = list(of_figure("unlearned_confidence", rows, "fig5"))
    assert [row["held"] for row in found] == ["held", "failed"]
    assert [row["held"] for row in of_figure("unlearned_confidence", rows.drop(columns="mean"), "fig5")] == ["", ""]


def test_the_step_writes_all_of_them_and_the_theorem(tmp_path):
    pd.DataFrame(sets("amun", 1.0, 1.1) + sets("ft", 3.0, 3.0)).to_csv(tmp_path / "runs.csv")
    fine_tuned(90, 80).to_csv(tmp_path / "fig1.csv")
    outputs = {"runs": [tmp_path / "runs.csv"], "figures": [tmp_path / "fig1.csv"], "kinds": {"fig1": "fine_tuning"}}
    claims(**outputs, clipped={}, random=RANDOM, output=tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv")
    assert found.source.astype(str).tolist() == ["6.1", "G", "6.1, 6.2.2", "6.2.1", "3.2", "4.1"]
    assert (found.held == "held").all()
