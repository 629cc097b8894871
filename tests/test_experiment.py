"""Which stage is given what: a config in which no two recipes and no two numbers are the same."""

from copy import deepcopy
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from amun_steps.plan import views
from amun_steps.plan.models import UNSAID
from amun_steps.training.recipe import Recipe

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())


@pytest.fixture(scope="module")
def plan():
    """originals trains for 11 epochs, retrained for 12, references for 13; gamma 1.5; two attacks; two families."""
    config = deepcopy(TINY)
    scratch = config["training"].pop("scratch")
    config["training"] = {
        "first": scratch | {"epochs": 11, "trades": {"beta": 2.0, "epsilon": 0.1, "steps": 3, "step_size": 0.05}},
        "again": scratch | {"epochs": 12, "learning_rate": 0.2, "step": 3, "factor": 0.5},
        "reference": scratch | {"epochs": 13, "clipping": {"bound": 1.0, "every": 7}},
        "tuning_in": scratch | {"epochs": 14},
    }
    digits = config["experiments"]["digits"]
    digits["network"] |= {"batch_norm": False}
    digits["originals"] = {"count": 2, "training": "first"}
    digits["retrained"] = {"count": 3, "training": "again"}
    digits["references"] = {"count": 4, "training": "reference"}
    digits["forget"] = ["random10", "random30"]
    config["forget"]["random30"] = {"fraction": 0.3, "sets": 2}
    config["attacks"]["weak"] = config["attacks"]["pgd50"] | {
        "parameters": {"steps": 5, "relative_step": 0.2, "restart": True}
    }
    config["methods"] |= {
        "amun_weak": {"module": "amun", "attack": "weak", "grid": {"include_forget": [True]}},
        "amun_far": {"module": "amun", "transferred": True, "grid": {"include_forget": [False]}},
    }
    digits["methods"] = ["ft", "amun_salun", "amun_weak", "amun_far"]
    config["rmia"]["gamma"] = 1.5
    config["figures"]["fig1"]["recipe"] = "tuning_in"
    return views.load(config)


def of(plan, kind, *rest):
    return getattr(plan.experiments["digits"], kind)(*rest)


@pytest.mark.parametrize(("kind", "rest", "epochs"), [("originals", (), 11), ("retrained", ("random10",), 12)])
def test_each_kind_of_model_has_its_own_recipe_and_count(plan, kind, rest, epochs):
    given = of(plan, kind, *rest).parameters
    assert given["training"]["recipe"]["epochs"] == epochs
    assert given["count"] == {"originals": 2, "retrained": 3}[kind]
    assert ("trades" in given["training"]) == (kind == "originals")
    assert given["training"]["network"] == plan.config["experiments"]["digits"]["network"]


def test_references_have_their_own_recipe_and_their_clipping(plan):
    training = of(plan, "signals").builds_on["references"].parameters["training"]
    assert training["recipe"]["epochs"] == 13
    assert training["clipping"] == {"bound": 1.0, "every": 7}


def test_a_recipe_s_schedule_is_its_own(plan):
    assert of(plan, "originals").parameters["training"]["schedule"] == {"learning_rate": 0.1, "step": 2, "factor": 0.1}
    again = of(plan, "retrained", "random10").parameters["training"]["schedule"]
    assert again == {"learning_rate": 0.2, "step": 3, "factor": 0.5}


def test_everything_is_judged_by_the_config_s_rmia(plan):
    signal = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
    judged = [stage for stage in plan.stages.values() if stage.kind in ("tuned", "scores", "continuous")]
    assert {stage.kind for stage in judged} == {"tuned", "scores", "continuous"}
    for stage in judged:
        assert stage.parameters["gamma"] == 1.5
        assert stage.parameters["signal"] == signal
    assert of(plan, "signals").parameters == {"signal": signal}


@pytest.mark.parametrize("access", ["with_remain", "without_remain"])
def test_a_method_is_tuned_and_run_with_its_own_access_attack_and_forget_sets(plan, access):
    for family, sets in (("random10", 1), ("random30", 2)):
        for method in ("amun_salun", "amun_weak", "amun_far"):
            tuned, unlearned = (of(plan, kind, method, access, family) for kind in ("tuned", "unlearned"))
            for stage in (tuned, unlearned):
                unlearning = stage.parameters["unlearning"]
                assert unlearning["remain"] == (access == "with_remain")
                assert unlearning["method"] == {"amun_salun": "amun_salun"}.get(method, "amun")
                assert unlearning.get("transferred", False) == (method == "amun_far")
                assert unlearning["recipe"]["epochs"] == 2
                assert stage.builds_on["forget"].parameters["fraction"] == {"random10": 0.1, "random30": 0.3}[family]
                assert stage.builds_on["forget"].parameters["sets"] == sets
                attack = stage.builds_on["adversarial"].parameters["attack"]["parameters"]
                assert attack["steps"] == (5 if method == "amun_weak" else 50)
            assert tuned.builds_on["retrained"] is of(plan, "retrained", family)
            assert unlearned.builds_on["tuned"] is tuned
            assert unlearned.parameters["runs"] == 2
            grid = tuned.parameters["grid"]
            assert (grid["learning_rate"], grid["step"]) == ([1.0e-2, 1.0e-3], [None])
            own = {"include_forget": [method != "amun_far"]} | ({"mask_ratio": [0.5]} if "salun" in method else {})
            assert {key: value for key, value in grid.items() if key not in ("learning_rate", "step")} == own


def test_a_grid_of_its_own_a_limit_and_a_method_that_trains_nothing():
    config = deepcopy(TINY)
    config["tuning"] |= {"choices": 3}
    config["methods"] |= {
        "ft_fine": {"module": "ft", "grid": {"learning_rate": [0.5, 0.2], "step": [1]}},
        "ssd": {"grid": {"alpha": [2.0, 5.0, 10.0, 20.0], "dampening": [1.0]}},
        "l1_sparse": {"grid": {"alpha": [1.0e-4, 5.0e-4]}},
    }
    config["experiments"]["digits"]["methods"] = ["ft", "ft_fine", "ssd", "l1_sparse", "amun_salun"]
    plan = views.load(config)
    found = {
        m: of(plan, "tuned", m, "with_remain", "random10").parameters for m in ("ft", "ft_fine", "ssd", "l1_sparse")
    }
    assert found["ft"]["grid"] == {"learning_rate": [1.0e-2, 1.0e-3], "step": [None]}
    assert "limit" not in found["ft"]  # two choices
    assert found["ft_fine"]["grid"] == {"learning_rate": [0.5, 0.2], "step": [1]}
    grid = {"alpha": [2.0, 5.0, 10.0, 20.0], "dampening": [1.0], "learning_rate": [0.0], "step": [None]}
    assert found["ssd"]["grid"] == grid
    assert found["ssd"]["limit"] == 3
    assert found["l1_sparse"]["limit"] == 3


def test_methods_that_need_the_remain_set_are_not_run_without_it(plan):
    with_access = {s.method for s in plan.scored if s.access == "with_remain"}
    without = {s.method for s in plan.scored if s.access == "without_remain"}
    assert with_access - without == {"ft"}


def test_what_is_scored_is_the_models_that_it_is_named_for(plan):
    for scored in plan.scored:
        models = scored.scores.builds_on["models"]
        if scored.method in ("original", "retrained"):
            rest = (scored.forget,) if scored.method == "retrained" else ()
            assert models is of(plan, scored.method.replace("original", "originals"), *rest)
        else:
            assert models is of(plan, "unlearned", scored.method, scored.access, scored.forget)
        names = scored.scores.parameters["names"]
        assert scored.scores.builds_on["forget"] is of(plan, "forget", scored.forget)
        assert (names["method"], names["access"]) == (scored.method, scored.access)


def test_a_sequence_of_requests_is_run_as_tuned_and_adaptive_only_where_it_is_asked(plan):
    tuned = of(plan, "tuned", "amun_salun", "without_remain", "random10")
    where = ("amun_salun", "without_remain", "two_of_5", "random10")
    once, again = (of(plan, "continuous", *where, attack) for attack in ("", "weak"))
    assert "attack" not in once.parameters
    assert again.parameters["attack"]["parameters"]["steps"] == 5
    for stage in (once, again):
        assert stage.builds_on["tuned"] is tuned
        assert stage.builds_on["adversarial"] is tuned.builds_on["adversarial"]
        assert stage.parameters["unlearning"] == tuned.parameters["unlearning"]
        assert stage.parameters["runs"] == 2
        assert stage.builds_on["requests"].parameters["requests"] == 2


def test_fine_tuning_has_the_figure_s_recipe_and_the_experiment_s_attack(plan):
    (stage,) = (stage for stage in plan.stages.values() if stage.kind == "finetuned")
    assert stage.parameters["recipe"]["epochs"] == 14
    assert stage.builds_on["adversarial"].parameters["attack"]["parameters"]["steps"] == 50
    assert stage.builds_on["originals"] is of(plan, "originals")


def test_what_half_of_the_references_chose_is_judged_by_the_other_half():
    config = deepcopy(TINY)
    config["experiments"]["digits"]["references"]["count"] = 8
    config["forget"]["hard"] = {"memorised": "high", "fraction": 0.1, "sets": 1}
    config["experiments"]["digits"]["forget"] = ["random10", "hard"]
    digits = views.load(config).experiments["digits"]
    for family, judges in (("random10", None), ("hard", "half")):
        tuned = digits.tuned("ft", "with_remain", family)
        scores = [s.scores for s in digits.scored() if s.forget == family]
        assert {stage.parameters.get("judges") for stage in (tuned, *scores)} == {judges}


def test_a_recipe_that_says_what_it_means_anyway_is_the_same_and_one_without_a_schedule_is_another():
    def originals(**changes):
        config = deepcopy(TINY)
        config["training"]["scratch"] |= changes
        return views.load(config).experiments["digits"].originals()

    assert originals(precision="float32", compile=False).slug == originals().slug
    assert originals(precision="bfloat16").slug != originals().slug
    constant = originals(step=None)
    assert constant.slug != originals().slug
    assert constant.parameters["training"]["schedule"]["step"] is None


def test_what_a_recipe_means_that_does_not_say_it_is_what_a_step_takes():
    of_step = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}
    assert of_step == UNSAID
