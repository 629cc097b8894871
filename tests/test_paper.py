"""config/config.yaml is the paper's: every number that the paper states, by the place where it is stated."""

from pathlib import Path

import pytest
import yaml

from amun_steps.plan import views

PLAN = views.load(yaml.safe_load((Path(__file__).parent.parent / "config" / "config.yaml").read_text()))
CONFIG = PLAN.config
ALL = ["cifar10", "tiny_imagenet", "cifar10_clipped", "cifar10_trades"]


def of(experiment, kind, *rest):
    return getattr(PLAN.experiments[experiment], kind)(*rest).parameters


@pytest.mark.parametrize(("experiment", "batch"), [("cifar10", 128), ("tiny_imagenet", 256)])
def test_originals_and_retrained_models_are_appendix_c_s(experiment, batch):
    """200 epochs, rate 0.1, times 0.1 every 40; retrained with the same; the public code's SGD and augmentation."""
    for training in (of(experiment, "originals")["training"], of(experiment, "retrained", "random10")["training"]):
        assert training["schedule"] == {"learning_rate": 0.1, "step": 40, "factor": 0.1}
        recipe = training["recipe"]
        assert (recipe["epochs"], recipe["batch_size"]) == (200, batch)
        assert (recipe["momentum"], recipe["weight_decay"]) == (0.9, 5e-4)
        assert recipe["augmentation"] == {"crop_padding": 4, "flip": True}
        assert not {"trades", "clipping"} & set(training)


@pytest.mark.parametrize("experiment", ALL)
def test_there_are_128_references_and_three_of_every_other_model(experiment):
    """Appendix C: three models on D, three forget sets, three runs of each: 27; 128 reference models."""
    references = PLAN.experiments[experiment].references()
    assert references.builds_on["inclusion"].parameters["references"] == 128
    assert of(experiment, "originals")["count"] == 3
    for family in CONFIG["experiments"][experiment]["forget"]:
        assert of(experiment, "retrained", family)["count"] == 3
        assert of(experiment, "forget", family)["sets"] == 3
    runs = {s.parameters["runs"] for s in PLAN.stages.values() if s.kind == "unlearned"}
    assert runs == {3}


def test_references_are_trained_as_the_public_code_does():
    """160 epochs; 100 for clipped ones, whose originals take 120."""

    def epochs(experiment):
        references = PLAN.experiments[experiment].references().parameters
        return of(experiment, "originals")["training"]["recipe"]["epochs"], references["training"]["recipe"]["epochs"]

    assert [epochs(name) for name in ALL] == [(200, 160), (200, 160), (120, 100), (100, 100)]


def test_robust_models_are_robust_in_all_their_roles():
    """6.2.2: spectral norms of at most 1, without batch normalisation. F.2: TRADES, with its authors' beta and ball."""
    for experiment, key, wanted in (
        ("cifar10_clipped", "clipping", {"bound": 1.0}),
        ("cifar10_trades", "trades", {"beta": 6.0, "epsilon": 0.031, "steps": 10, "step_size": 0.007}),
    ):
        references = PLAN.experiments[experiment].references().parameters
        for given in (of(experiment, "originals"), of(experiment, "retrained", "random10"), references):
            assert wanted.items() <= given["training"][key].items()
            assert given["training"]["network"].get("batch_norm", True) == (key == "trades")


def test_rmia_is_appendix_c_s():
    """Temperature 2 and gamma 2 are stated; the margin and the four terms are those of RMIA's authors."""
    assert CONFIG["rmia"] == {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4, "gamma": 2.0}


def test_forget_sets_and_requests_are_the_paper_s():
    """5.1: 10% and 50% of D. 6.3: five consecutive requests of 2%."""
    assert {name: family["fraction"] for name, family in CONFIG["forget"].items()} == {"random10": 0.1, "random50": 0.5}
    requests = CONFIG["requests"]["five_of_2"]
    assert (requests["fraction"], requests["requests"]) == (0.02, 5)


def test_unlearning_takes_ten_epochs_of_the_training_s_sgd():
    for experiment, batch in (("cifar10", 128), ("tiny_imagenet", 256)):
        recipe = of(experiment, "unlearned", "amun", "with_remain", "random10")["unlearning"]["recipe"]
        assert (recipe["epochs"], recipe["batch_size"]) == (10, batch)
        assert (recipe["momentum"], recipe["weight_decay"]) == (0.9, 5e-4)
        assert recipe["augmentation"] == {"crop_padding": 4, "flip": True}


def test_the_grid_is_appendix_c_s():
    """Learning rates in [1e-6, 1e-1]; a scheduler of 1 or 5 steps, or none; masking ratios in [0.1, 0.9]."""
    for method in CONFIG["experiments"]["cifar10"]["methods"]:
        grid = of("cifar10", "tuned", method, "with_remain", "random10")["grid"]
        assert (min(grid["learning_rate"]), max(grid["learning_rate"])) == (1e-6, 1e-1)
        assert {round(rate, 9) for rate in grid["learning_rate"]} >= {10.0**-k for k in range(1, 7)}
        assert set(grid["step"]) == {None, 1, 5}
        if "salun" in method:
            assert grid["mask_ratio"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        if "amun" in method:
            assert set(grid["include_forget"]) == {True, False}
    assert CONFIG["tuning"]["originals"] == [0]


def test_algorithm_1_is_section_4_s():
    """PGD-50, steps of 0.1 epsilon, from the sample in every ball; E.1: epsilon_init by 95% of about 100 samples."""
    attack = CONFIG["attacks"]["pgd50"]
    assert attack["algorithm"] == "pgd"
    assert attack["parameters"] == {"steps": 50, "relative_step": 0.1, "restart": True}
    assert (attack["search"]["samples"], attack["search"]["share"]) == (100, 0.95)
    assert {CONFIG["experiments"][name]["attack"] for name in ALL} == {"pgd50"}
    assert [CONFIG["attacks"][f"pgd{n}"]["parameters"]["steps"] for n in (10, 20)] == [10, 20]


def test_networks_are_the_paper_s():
    networks = {name: CONFIG["experiments"][name]["network"] for name in ALL}
    assert {name: network["name"] for name, network in networks.items()} == {
        "cifar10": "resnet18",
        "tiny_imagenet": "vgg",
        "cifar10_clipped": "resnet18",
        "cifar10_trades": "resnet18",
    }
    stages = networks["tiny_imagenet"]["stages"]
    assert [(len(stage), set(stage)) for stage in stages] == [(2, {64}), (2, {128}), (4, {256}), (4, {512}), (4, {512})]


def test_models_are_fine_tuned_for_20_epochs():
    """3.2: 'for 20 epochs', on D_F of 10% (Figures 1 and 7) and of 50% (Figure 6)."""
    stages = [stage for stage in PLAN.stages.values() if stage.kind == "finetuned"]
    assert {stage.parameters["recipe"]["epochs"] for stage in stages} == {20}
    assert sorted(stage.parameters["forget_name"] for stage in stages) == ["random10", "random10", "random50"]


@pytest.mark.parametrize(("table", "experiment", "access", "attack"), [
    ("table1", "cifar10", ["with_remain"], "ft_auc"),
    ("table2", "cifar10", ["without_remain"], "ft_auc"),
    ("table3", "cifar10_clipped", ["without_remain"], "ft_auc"),
    ("table4", "tiny_imagenet", ["with_remain"], "ft_auc"),
    ("table5", "tiny_imagenet", ["without_remain"], "ft_auc"),
    ("table6", "cifar10_clipped", ["with_remain"], "ft_auc"),
    ("table7", "cifar10_trades", ["with_remain", "without_remain"], "ft_auc"),
    ("table10", "cifar10", ["with_remain"], "mis"),
    ("table11", "cifar10", ["without_remain"], "mis"),
])  # fmt: skip
def test_a_table_shows_its_experiment_access_and_attack(table, experiment, access, attack):
    wanted = CONFIG["tables"][table]
    assert (wanted["experiment"], wanted["access"]) == (experiment, access)
    assert attack in wanted["metrics"]
    assert {"mis", "ft_auc"} & set(wanted["metrics"]) == {attack}
