"""Claims: each rule on numbers for which it holds, and on others for which it does not."""

import math

import numpy as np
import pandas as pd
import pytest

from amun_steps.views.claims import claims, of_clipped, of_figure, of_fine_tuning, of_requests, of_runs


def run(method, gap, access="with_remain", ft_auc=50.0, which=0) -> dict:
    keys = {"experiment": "toy", "method": method, "access": "" if method == "retrained" else access}
    keys |= {"forget": "random10", "set": which}
    measured = {"ft_auc": ft_auc, "fr_auc": 60.0, "test_accuracy": 90 - gap}
    return keys | measured | {"average_gap_ft_auc": gap, "average_gap_mis": gap + 1}


def held(rows) -> dict[str, bool]:
    return {row["claim"]: row["held"] for row in rows}


@pytest.mark.parametrize(("amun", "expected"), [(1.0, True), (2.5, False)])
def test_amun_is_compared_with_the_best_of_the_prior_methods(amun, expected):
    rows = [run("amun", amun), run("amun", amun, which=1), run("ft", 3.0), run("ft", 3.4, which=1)]
    # runs of one set are not independent: the spread is that of the differences of sets' means, amun's from 2.0 and 2.2
    rows += [run("rl", 1.5), run("rl", 2.5), run("rl", 2.1, which=1), run("rl", 2.3, which=1)]
    rows += [run("amun_salun", 0.1)]  # not a prior method
    found = [row for row in of_runs(pd.DataFrame(rows)) if row["source"] in ("6.1", "G")]
    assert [row["held"] for row in found] == [expected, expected]
    assert found[0]["measured"] == pytest.approx(amun - 2.1)
    assert found[0]["spread"] == pytest.approx(0.1)  # of rl: 0.1414 / sqrt(2); amun's runs agree
    assert "that of rl" in found[0]["rule"]


def test_nothing_can_be_said_of_a_method_whose_runs_all_diverged():
    rows = [run(m, g, which=k) for m, g in (("amun", math.nan), ("ft", 3.0), ("rl", math.nan)) for k in range(2)]
    found = list(of_runs(pd.DataFrame(rows)))
    assert [math.isnan(row["held"]) for row in found] == [True, True]
    assert all("that of ft" in row["rule"] for row in found)
    assert not list(of_runs(pd.DataFrame([row for row in rows if row["method"] != "ft"])))


def test_variants_are_worse_than_amun_and_better_than_prior_methods_without_access():
    rows = [run(m, g, "without_remain") for m, g in (("amun", 1.0), ("amun_ffgsm", 2.0), ("ga", 3.0)) for _ in range(2)]
    assert held(of_runs(pd.DataFrame(rows)))["AMUN is better than amun_ffgsm"]
    assert held(of_runs(pd.DataFrame(rows)))["amun_ffgsm still beats all prior methods"]


@pytest.mark.parametrize(("values", "expected"), [((49, 51, 50.5), True), ((52, 52.1, 52.2), False)])
def test_an_attack_on_retrained_models_guesses(values, expected):
    rows = [run("retrained", math.nan, ft_auc=value, which=k) for k, value in enumerate(values)]
    (found,) = of_runs(pd.DataFrame(rows))
    assert found["held"] == expected
    assert found["measured"] == pytest.approx(np.mean(values))


def test_one_forget_set_has_no_spread_so_that_nothing_can_be_said():
    (found,) = of_runs(pd.DataFrame([run("retrained", math.nan, ft_auc=value) for value in (50.1, 50.3)]))
    assert math.isnan(found["held"])


def fine_tuned(adv, best) -> pd.DataFrame:
    last = {"orig": 99, "adv": adv, "adv_rs": best, "adv_rl": 20, "orig_rl": 30, "orig_advl": 40}
    rows = [{"set": s, "epoch": e, "mean": (95, v)[e], "panel": 3} for s, v in last.items() for e in range(2)]
    return pd.DataFrame([*rows, {"set": "adv", "epoch": 1, "mean": 0, "panel": 1}])


@pytest.mark.parametrize(("adv", "best", "expected"), [(90, 80, [True, True]), (80, 84, [False, False])])
def test_fine_tuning_on_the_adversarial_set_alone(adv, best, expected):
    found = list(of_fine_tuning(fine_tuned(adv, best), "fig1"))
    assert [row["held"] for row in found] == expected
    assert [row["measured"] for row in found] == [adv - best, 95 - adv]


def test_amun_salun_is_compared_with_salun_and_without_access_with_amun():
    """Where their rows are there, and by the gap with either attack."""
    gaps = {"amun": 1.0, "amun_salun": 0.9, "salun": 0.8, "ga": 3.0}
    rows = [
        run(m, g, access) for m, g in gaps.items() for access in ("with_remain", "without_remain") for _ in range(2)
    ]
    found = [(row["claim"], row["where"], row["held"]) for row in of_runs(pd.DataFrame(rows)) if row["source"] == "D"]
    over, no = "AMUN+SalUn is better than SalUn", "Without D_R AMUN+SalUn is better than AMUN"
    told = [(claim, where.split(", ")[-1], kept) for claim, where, kept in found]
    assert told == [(over, "with D_R", False)] * 2 + [(over, "no D_R", False), (no, "no D_R", True)] * 2


@pytest.mark.parametrize(("gap", "expected"), [(2.0, True), (0.5, False)])
def test_transferred_examples_cost_test_accuracy(gap, expected):
    rows = [run(m, g) for m, g in (("amun", 1.0), ("amun_transferred", gap), ("ft", 3.0)) for _ in range(2)]
    (found,) = (row for row in of_runs(pd.DataFrame(rows)) if "test accuracy" in row["claim"])
    assert (found["measured"], found["held"]) == (1.0 - gap, expected)


@pytest.mark.parametrize(("fr_auc", "expected"), [(54.0, True), (61.0, False)])
def test_clipped_retrained_models_have_a_lower_fr_auc(fr_auc, expected):
    plain = pd.DataFrame([run("retrained", math.nan, which=k) for k in range(2)])
    clipped = plain.assign(experiment="clipped", fr_auc=[fr_auc, fr_auc + 1])
    (found,) = of_clipped(clipped, plain)
    assert found["held"] == expected
    assert found["measured"] == pytest.approx(fr_auc + 0.5 - 60)
    assert found["spread"] == pytest.approx(0.5)  # of two sets that differ by 1; the others agree
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
    [((12, 9), [True, True, True]), ((12, 7.5), [True, True, False]), ((3, 9), [True, False, False])],
)
def test_requests_have_to_hold_after_each_of_them(again, expected):
    means = {"amun": (10, 8), "amun_adaptive": again, "ft": (2, 7), "rl": (4, 1)}
    rows = sequences(means, {"amun": 6.0, "amun_adaptive": 1.0, "ft": 4.0, "rl": 100.0})
    found = [row for row in of_requests(rows, "fig2") if row["source"] == "6.3"]
    assert [row["held"] for row in found] == expected
    assert found[0]["measured"] == 1  # 8 - 7 after the second
    assert found[0]["spread"] == pytest.approx(1)  # the differences of the two sequences are 0 and 2
    assert "after request 2, to ft" in found[0]["rule"]


@pytest.mark.parametrize(("last", "expected"), [(8, True), (11, False)])
def test_effectiveness_is_compared_between_the_first_and_the_last_request(last, expected):
    rows = sequences({"amun": (10, 20, last), "ft": (1, 2, 3)}, {"amun": 3.0, "ft": 1.0})
    (found,) = (row for row in of_requests(rows, "fig2") if row["source"] == "H")
    assert (found["measured"], found["held"]) == (last - 10, expected)
    assert found["spread"] == pytest.approx(0)  # both sequences fall alike, however far they lie apart
    rows.loc[(rows.method == "amun") & (rows.request == 3) & (rows["set"] == 1), "value"] += 4
    (found,) = (row for row in of_requests(rows, "fig2") if row["source"] == "H")
    assert found["spread"] == pytest.approx(2)  # of two changes that differ by 4


@pytest.mark.parametrize(("above", "expected"), [(98, True), (90, False)])
def test_distances_count_points_above_the_line(above, expected):
    rows = pd.DataFrame({"x": np.ones(100), "y": np.where(np.arange(100) < above, 2.0, 0.5)})
    (found,) = of_figure("attack_distances", rows, "fig9")
    assert (found["measured"], found["held"]) == (above, expected)


def test_the_work_of_each_panel_is_below_three_runs():
    rows = pd.DataFrame({"title": ["a", "a", "b"], "runs_of_the_attack": [0.5, 0.5, 3.5]})
    assert [row["held"] for row in of_figure("epsilons", rows, "fig4")] == [True, False]


def test_confidence_on_the_forget_set_is_nearer_to_the_test_set_s():
    def panel(title, forget):
        return [{"title": title, "part": p, "mean": m} for p, m in (("remain", 8), ("test", 4), ("forget", forget))]

    rows = pd.DataFrame([*panel("Before, 10%", 8), *panel("After, 10%", 5), *panel("After, 50%", 7)])
    found = list(of_figure("unlearned_confidence", rows, "fig5"))
    assert [row["held"] for row in found] == [True, False]


def test_the_step_writes_all_of_them_and_the_theorem(tmp_path):
    pd.DataFrame([run("amun", 1.0), run("amun", 1.0), run("ft", 3.0), run("ft", 3.0)]).to_csv(tmp_path / "runs.csv")
    fine_tuned(90, 80).to_csv(tmp_path / "fig1.csv")
    outputs = {"runs": [tmp_path / "runs.csv"], "figures": [tmp_path / "fig1.csv"], "kinds": {"fig1": "fine_tuning"}}
    claims(**outputs, clipped={}, output=tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv")
    assert found.source.astype(str).tolist() == ["6.1", "G", "6.2.1", "3.2", "4.1"]
    assert found.held.all()
