"""What all judges say, for people: the table by hand, efficiency from receipts, and the workflow's own."""

import json
import math
import shutil
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import yaml
from running import CONFIG, edit, planned, snakemake

from amun_steps.plan import judgements as views
from amun_steps.plan.config import check
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.plan import Plan
from amun_steps.views.efficiency import Timed, efficiency
from amun_steps.views.judgements import judgements

GOOD = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())
ASKED = GOOD | {"judges": {"experiments": ["digits"]}}


def receipt(path: Path, seconds: float, device: str = "cpu x86_64", **more: object) -> str:
    path.with_name(f"{path.name}.json").write_text(
        json.dumps({"seconds": seconds, "device": device, "sha256": "", "inputs": [], **more})
    )
    return path.as_posix()


@pytest.fixture
def timed(tmp_path) -> Timed:
    """Two sets of two retrained models in 40 and 60 seconds, 10 runs in 50, and adversarial examples in 4 and 6."""
    return Timed(
        experiment="toy",
        method="amun",
        access="with_remain",
        forget="random10",
        replicate=0,
        unlearned=receipt(tmp_path / "unlearned.h5", 50),
        runs=10,
        retrained=[receipt(tmp_path / "set0.h5", 40), receipt(tmp_path / "set1.h5", 60)],
        retrained_each=2,
        adversarial=[receipt(tmp_path / "original0.h5", 4), receipt(tmp_path / "original1.h5", 6)],
    )


def test_efficiency_is_the_seconds_of_retraining_for_one_of_unlearning(timed):
    (row,) = efficiency([timed]).to_dict("records")
    assert (row["retrain_seconds"], row["unlearn_seconds"], row["once_seconds"]) == (25, 5, 5)
    assert (row["efficiency"], row["efficiency_first"]) == (5, 2.5)
    assert (row["method"], row["device"]) == ("amun", "cpu x86_64")


def test_a_method_without_adversarial_examples_does_nothing_once(timed):
    timed.adversarial.clear()
    (row,) = efficiency([timed]).to_dict("records")
    assert (row["once_seconds"], row["efficiency"], row["efficiency_first"]) == (0, 5, 5)


def test_efficiency_is_not_said_where_a_receipt_is_missing_or_resumed_or_devices_differ(timed, tmp_path):
    receipt(tmp_path / "set1.h5", 60, device="a GPU")
    (row,) = efficiency([timed]).to_dict("records")
    assert row["unlearn_seconds"] == 5
    assert pd.isna(row["efficiency"])
    receipt(tmp_path / "set1.h5", 1, resumed=True)  # the seconds of its last attempt
    (row,) = efficiency([timed]).to_dict("records")
    assert pd.isna([row["retrain_seconds"], row["efficiency"], row["efficiency_first"]]).all()
    (tmp_path / "set1.h5.json").unlink()
    (row,) = efficiency([timed]).to_dict("records")
    assert pd.isna([row["retrain_seconds"], row["efficiency"], row["efficiency_first"]]).all()


# ---- the table -------------------------------------------------------------------------------------------------------

RUNS = "experiment,method,access,forget,set,original,run,ft_auc,average_gap_ft_auc,diverged\n"
JUDGED = "experiment,method,access,forget,set,original,run,judge,value,address\n"


def table(where: Path, timed: list[Timed], models: int = 2, diverged: int = 0) -> str:
    """The table of two retrained models, or as many, two originals and runs of AMUN, the first of which diverged."""
    runs, rows = RUNS, JUDGED
    for method, access, value in (("retrained", "", 50), ("original", "", 60), ("amun", "with_remain", 52)):
        for run in range(models):
            bad = method == "amun" and run < diverged
            numbers = ",," if bad else f",{value + run},{'' if method == 'retrained' else value - 50 + run}"
            runs += f"toy,{method},{access},random10,0,{run},{run}{numbers},{bad}\n"
            for judge, said in (("lira_auc", value + run), ("tow", 0.9), ("jsd", 0.1)):
                rows += f"toy,{method},{access},random10,0,{run},{run},{judge},{'' if bad else said},00000000000a\n"
        for judge in ("epsilon", "klom_forget", "klom_forget_95"):
            rows += f"toy,{method},{access},random10,0,,,{judge},1.5,00000000000a\n"
    (where / "runs.csv").write_text(runs)
    (where / "judged.csv").write_text(rows)
    judgements(
        judged=[where / "judged.csv"],
        replicates=[1],
        runs=[where / "runs.csv"],
        timed=timed,
        labels={"random10": "10%"},
        references={"toy": 128},
        csv=where / "judges.csv",
        efficiency=where / "efficiency.csv",
        markdown_file=where / "judges.md",
    )
    assert (where / "judges.csv").read_text().splitlines()[0] == f"{JUDGED.strip()},replicate"
    assert set(pd.read_csv(where / "judges.csv").replicate) == {1}
    return (where / "judges.md").read_text()


def cells(text: str, method: str) -> dict[str, str]:
    """The row of a method, by the titles of its columns."""
    _, _, head, _, *rows = text.splitlines()
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *rows)]
    return next(dict(zip(split[0], row, strict=True)) for row in split[1:] if row[2].startswith(method))


def test_a_row_has_the_mean_and_spread_of_each_judge(tmp_path, timed):
    text = table(tmp_path, [timed])
    assert cells(text, "AMUN") == {
        "Forget": "10%", "Access": "with D_R", "Method": "AMUN", "Avg. Gap": "2.50 ± 0.71", "FT AUC": "52.50 ± 0.71",
        "LiRA AUC": "52.50 ± 0.71", "ToW": "0.900 ± 0.000", "JSD": "0.100 ± 0.000", "Efficiency": "5.0",
        "Efficiency, first": "2.5",
    }  # fmt: skip
    assert cells(text, "Original")["Efficiency"] == ""
    assert cells(text, "Retrain")["Avg. Gap"] == ""
    assert "had 128 reference models" in text
    assert "diverged" not in text
    assert (
        (tmp_path / "efficiency.csv").read_text().splitlines()[1].startswith("toy,amun,with_remain,random10,0,25.000")
    )


def test_a_run_that_diverged_is_in_no_mean_and_its_row_says_so(tmp_path):
    row = cells(text := table(tmp_path, [], diverged=1), "AMUN")
    assert (row["Method"], row["FT AUC"], row["LiRA AUC"]) == ("AMUN†", "53.00", "53.00")
    assert "† Some runs diverged" in text
    assert "Efficiency" not in text


@pytest.mark.parametrize(("models", "shown"), [(19, ""), (20, "E"), (49, "E"), (50, "EK"), (99, "EK")])
def test_a_judge_of_distributions_is_shown_of_as_many_models_as_it_wants(tmp_path, models, shown):
    text = table(tmp_path, [], models)
    caption, row, halves = text.splitlines()[0], cells(text, "AMUN"), cells(text, "Retrain")
    assert f"are of {models} unlearned and {models} retrained models a set; their authors have 512 and 100" in caption
    assert (row.get("Epsilon"), row.get("KLoM D_F")) == tuple("1.50" if k in shown else None for k in "EK")
    assert ("epsilon tells only how few" in caption, "KLoM tells only how few" in caption) == (
        "E" not in shown,
        "K" not in shown,
    )
    assert (f"{math.log(models - 1):.1f} is the most that so many show" in caption) == ("E" in shown)
    if shown:
        assert halves["Epsilon"] == ("1.50" if models // 2 >= 20 else "")
        assert halves.get("KLoM D_F", "") == ""  # of half as many


def test_models_that_diverged_are_none_of_those_that_a_judge_wants(tmp_path):
    """Those of the other rows have enough."""
    for models, diverged, shown in ((20, 1, ""), (21, 1, "1.50"), (20, 20, "")):
        text = table(tmp_path, [], models, diverged)
        assert (cells(text, "AMUN")["Epsilon"], cells(text, "Original")["Epsilon"]) == (shown, "1.50")


# ---- the plan and the workflow ---------------------------------------------------------------------------------------


def test_judges_move_no_other_stage_s_address():
    plain, asked = Plan(GOOD), Plan(ASKED)
    assert {slug.rpartition("-")[0] for slug in set(asked.stages) - set(plain.stages)} == {
        "confidences",
        "judged-random10",
    }
    assert set(plain.stages) <= set(asked.stages)
    assert not any(scored.judged for scored in plain.scored)
    assert all(scored.judged for scored in asked.scored)


def test_what_is_timed_are_a_method_s_runs_and_its_original_models_adversarial_examples():
    timed = {row["method"] + row["access"]: row for row in views.judgements(Plan(ASKED)).stage.parameters["timed"]}
    assert sorted(timed) == ["amun_salunwith_remain", "amun_salunwithout_remain", "ftwith_remain"]
    row = timed["amun_salunwith_remain"]
    assert (row["runs"], row["retrained_each"]) == (4, 1)  # of one set, two originals, twice
    assert [Path(path).name for path in row["retrained"]] == ["set0.h5"]
    assert [Path(path).name for path in row["adversarial"]] == ["original0.h5", "original1.h5"]
    assert timed["ftwith_remain"]["adversarial"] == []


def test_each_replicate_is_judged_by_its_own_models_and_timed_by_its_own_jobs():
    view = views.judgements(Plan(ASKED | {"replicates": 2}))
    assert view.stage.parameters["replicates"] == [0] * 5 + [1] * 5
    assert len(set(view.files)) == 10
    first, second = (
        {row[key] for row in view.stage.parameters["timed"] if row["replicate"] == number for key in ("unlearned",)}
        for number in (0, 1)
    )
    assert len(first) == len(second) == 3
    assert not first & second


def test_lira_wants_more_references_where_half_of_them_chose_what_is_forgotten():
    config = deepcopy(ASKED)
    config["forget"]["random10"] |= {"memorised": "high", "fraction": 0.05}
    config["experiments"]["digits"]["references"]["count"] = 30
    with pytest.raises(ConfigError, match=r"judges.experiments: 'digits' has 30 references, expected at least 32"):
        check(config)
    config["experiments"]["digits"]["references"]["count"] = 32
    check(config)
    assert {scored.judged.parameters["judges"] for scored in Plan(config).scored} == {"half"}


def test_u_lira_has_shadows_of_every_method_that_is_run_here():
    asked, by_shadows = Plan(ASKED), Plan(ASKED | {"judges": {"experiments": ["digits"], "u_lira": True}})
    unlearning = {(s.method, s.access): s.judged.builds_on["shadows"] for s in by_shadows.scored}
    assert not any("shadows" in scored.judged.builds_on for scored in asked.scored)
    assert {key: stage.kind for key, stage in unlearning.items()} == {
        ("ft", "with_remain"): "shadows",
        ("amun_salun", "with_remain"): "shadows",
        ("amun_salun", "without_remain"): "shadows",
        ("original", ""): "confidences",
        ("retrained", ""): "confidences",
    }
    ft, amun = unlearning["ft", "with_remain"], unlearning["amun_salun", "with_remain"]
    assert "attack" not in ft.parameters
    assert amun.parameters["attack"] == GOOD["attacks"]["pgd50"]
    assert "amun_steps.attacks.pgd" in amun.code
    moved = set(asked.stages) - set(by_shadows.stages)
    assert {slug.rpartition("-")[0] for slug in moved} == {"judged-random10"}


def test_shadows_of_a_method_with_the_adversarial_examples_of_others_search_for_none():
    config = deepcopy(ASKED)
    config["judges"]["u_lira"] = True
    config["methods"]["amun_salun"]["transferred"] = True
    config["figures"] = {}
    shadows = [scored.judged.builds_on["shadows"] for scored in Plan(config).scored]
    assert not any("attack" in stage.parameters for stage in shadows)


@pytest.mark.parametrize(
    ("sets", "memorised", "least"), [(1, False, 4), (2, False, 64), (3, False, 96), (1, True, 64), (3, True, 192)]
)
def test_u_lira_wants_so_many_references_that_each_sample_is_forgotten(sets, memorised, least):
    config = deepcopy(ASKED)
    config["judges"]["u_lira"] = True
    config["forget"]["random10"] = {"fraction": 0.05, "sets": sets} | ({"memorised": "high"} if memorised else {})
    config["experiments"]["digits"]["references"]["count"] = least
    check(config)
    if least > 4:
        config["experiments"]["digits"]["references"]["count"] = least - 2
        with pytest.raises(
            ConfigError, match=rf"judges.u_lira: 'digits' has {least - 2} references, .* least {least} "
        ):
            check(config)


def test_the_workflow_judges_what_is_there_without_running_a_model_again(finished, tmp_path):
    where = tmp_path / "copy"
    shutil.copytree(finished, where, symlinks=True)
    (where / CONFIG).write_text((where / CONFIG).read_text() + "judges: {experiments: [digits]}\n")
    assert planned(where) == {
        "confidences": 1, "judge": 5, "judgements": 1, "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip
    snakemake(where, "--cores", "2")
    assert planned(where) == {}
    found = pd.read_csv(where / "results" / "judges.csv")
    judged = found[found.value.notna()].groupby("judge").method.unique().map(sorted).to_dict()
    everything = ["amun_salun", "ft", "original", "retrained"]
    assert judged["lira_auc"] == everything
    assert judged["tow"] == judged["jsd"] == everything[:3]  # one retrained model has no others
    runs = pd.read_csv(where / "results" / "runs" / "digits.csv")
    keys = ["method", "access", "replicate", "set", "original", "run"]
    both = runs.merge(found[found.judge == "tow"], on=keys, how="inner")
    accuracies = ["unlearn_accuracy", "retain_accuracy", "test_accuracy"]
    standard = runs[runs.method == "retrained"][accuracies].iloc[0]
    expected = (1 - (both[accuracies] - standard).abs() / 100).prod(axis=1)
    known = both.method != "retrained"
    assert both.value[known].tolist() == pytest.approx(expected[known].tolist(), abs=1e-5)
    assert known.sum() == 2 + 4 + 8
    saved = pd.read_csv(where / "results" / "efficiency.csv").set_index(["method", "access"])
    assert saved.notna().all(axis=None)
    assert (saved.once_seconds > 0).to_dict() == {
        ("ft", "with_remain"): False,
        ("amun_salun", "with_remain"): True,
        ("amun_salun", "without_remain"): True,
    }
    pairs = pd.read_csv(where / "results" / "comparison.csv").set_index("judge")
    assert {"lira_auc", "lira_tpr_at_1_fpr", "tow", "jsd"} <= set(pairs.index)
    assert not {"epsilon", "klom_forget"} & set(pairs.index)  # of so few models they say nothing
    jsd = found[(found.judge == "jsd") & (found.access == "with_remain")].groupby("method").value.mean()
    assert pairs.difference["jsd"] == pytest.approx(jsd["ft"] - jsd["amun_salun"], abs=1e-5)
    edit(where / CONFIG, "judges: {experiments: [digits]}", "judges: {experiments: [digits], u_lira: true}")
    again = {"comparison": 1, "leaderboard": 1, "overview": 1}
    assert planned(where) == {"shadows": 3, "judge": 5, "judgements": 1, **again, "all": 1}
    snakemake(where, "--cores", "2")
    more = pd.read_csv(where / "results" / "judges.csv")
    assert sorted(more[more.value.notna() & (more.judge == "u_lira_auc")].method.unique()) == everything[:3]
    assert more[more.judge == "u_lira_auc"].value.dropna().between(0, 100).all()
    assert "u_lira_auc" in set(pd.read_csv(where / "results" / "comparison.csv").judge)
    assert more[~more.judge.str.startswith("u_lira")].value.tolist() == pytest.approx(found.value.tolist(), nan_ok=True)
    snakemake(where, "--cores", "1", "results/report.html")
    page = (where / "results" / "report.html").read_text()
    assert '<h2 id="judges">' in page
    assert "<td>AMUN+SalUn</td>" in page.partition('<h2 id="judges">')[2]
