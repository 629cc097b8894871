"""Replicates: a config's experiments under other splits and seeds, each what a config with these seeds has."""

import copy
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from running import CONFIG, REPOSITORY, clone, planned, snakemake
from scipy.stats import ttest_1samp

from amun_steps.plan import compared, config_file, replicates, views
from amun_steps.plan.judgements import judgements
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.plan import Plan

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())


def of(**changes) -> dict:
    return copy.deepcopy(TINY) | changes


def shown(view: views.View) -> tuple:
    """What a view is of."""
    return view.marker, view.path, *view.files


def test_without_the_key_and_with_1_all_addresses_are_as_without_replicates():
    assert set(Plan(of(replicates=1)).stages) == set(Plan(TINY).stages)


def test_a_replicate_is_what_a_config_with_its_seeds_has():
    found = Plan(of(replicates=3))
    apart = []
    for number in range(3):
        config = of(seed=TINY["seed"] + number)
        config["datasets"]["digits"]["seed"] += number
        apart.append(Plan(config))
    assert set(found.stages) == set().union(*(set(plan.stages) for plan in apart))
    assert len(found.stages) == sum(len(plan.stages) for plan in apart)  # none is shared: references and all
    scored = [[s.scores.address for s in found.scored if s.replicate == number] for number in range(3)]
    assert scored == [[s.scores.address for s in plan.scored] for plan in apart]
    assert found.experiments["digits"].originals().slug == apart[0].experiments["digits"].originals().slug


def test_runs_are_those_of_all_replicates_and_tables_and_figures_those_of_the_first():
    once, twice = views.load(TINY), views.load(of(replicates=2))
    runs = views.runs(twice, "digits")
    assert list(runs.files[: len(runs.files) // 2]) == list(views.runs(once, "digits").files)
    assert runs.stage.parameters == {"replicates": [0] * 5 + [1] * 5}
    assert shown(views.runs(views.load(of(replicates=1)), "digits")) == shown(views.runs(once, "digits"))
    assert shown(views.table(twice, "table1")) == shown(views.table(once, "table1"))
    for name in TINY["figures"]:
        assert shown(views.figure(twice, name)) == shown(views.figure(once, name))


@pytest.mark.parametrize("name", ["compare", "quickstart", "fashion", "ensemble"])
def test_no_argument_of_a_view_grows_with_their_number_beyond_what_a_system_takes(name):
    """Linux takes arguments of less than 128 KiB, however long the whole command is."""
    plan = views.load(config_file.read(REPOSITORY / "config" / f"{name}.yaml") | {"replicates": 20})
    shown = [judgements(plan), *(views.runs(plan, experiment) for experiment in plan.experiments)]
    shown += [compared.comparison(plan), compared.leaderboard(plan), views.claims(plan), compared.overview(plan)]
    longest = max(len(word) for view in shown for word in shlex.split(view.stage.options()))
    assert longest < 20_000


@pytest.mark.parametrize("count", [0, 1.5, "two", 1001])
def test_their_number_is_a_whole_one(count):
    with pytest.raises(ConfigError, match=r"replicates: found .* expected a whole number from 1"):
        Plan(of(replicates=count))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("experiments", "digits", "originals"), {"files": ["a"]}, r"experiments.digits.originals.files are the same"),
        (
            ("methods", "ft"),
            {"files": "{set}", "access": "with_remain"},
            "methods.ft.files are the same",
        ),
        (("forget", "random10"), {"indices": "list.txt"}, r"forget.random10.indices lists samples of one split"),
        (("datasets", "digits", "seed"), 2**32 - 2, r"datasets.digits.seed has to stay below 4294967296"),
    ],
)
def test_what_would_be_the_same_in_each_is_refused(path, value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("1\n2\n")
    config = of(replicates=3)
    *parents, last = path
    inside = config
    for key in parents:
        inside = inside[key]
    inside[last] = value
    with pytest.raises(ConfigError, match=rf"^replicates: found 3, but {said}"):
        replicates.check(config)
    replicates.check(config | {"replicates": 1})


def test_the_workflow_adds_replicates_to_results_that_are_there_and_pools_them(finished, tmp_path):
    where = clone(tmp_path)
    shutil.copytree(finished / "results", where / "results")
    config = where / CONFIG
    config.write_text(f"replicates: 2\n{config.read_text()}")
    jobs = planned(where)
    assert {"originals": 1, "references": 2, "retrained": 2, "adversarial": 2, "score": 5}.items() <= jobs.items()
    assert not any(name.startswith(("table", "figure")) for name in jobs)  # they show the first, which is there
    snakemake(where, "--cores", "2")
    runs = pd.read_csv(where / "results" / "runs" / "digits.csv")
    first = pd.read_csv(finished / "results" / "runs" / "digits.csv")
    pd.testing.assert_frame_equal(runs[runs.replicate == 0], first)
    again = runs[runs.replicate == 1].reset_index(drop=True)
    same = ["method", "access", "forget", "set", "original", "run"]
    pd.testing.assert_frame_equal(again[same], first[same])
    assert not set(again.address) & set(first.address)
    pairs = pd.read_csv(where / "results" / "comparison.csv").set_index("judge").loc["average_gap_ft_auc"]
    gaps = runs[runs.access == "with_remain"].groupby(["replicate", "method"]).average_gap_ft_auc.mean().unstack()
    differences = gaps.ft - gaps.amun_salun
    assert (pairs.over, pairs.cells) == ("replicate", 4)
    interval = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert [pairs.difference, pairs.low, pairs.high] == pytest.approx([differences.mean(), *interval], abs=1e-4)
