"""The real workflow, end to end, on a tiny config: what runs, what does not run again, and that it gives the same."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from running import CONFIG, clone, edit, planned, snakemake, start, views

ALL = {
    "dataset": 1,
    "forget": 1,
    "inclusion": 1,
    "originals": 1,
    "references": 2,
    "signals": 1,
    "retrained": 2,
    "adversarial": 2,
    "tune": 6,
    "choose": 3,
    "unlearn": 3,
    "score": 5,
    "requests": 1,
    "continuous": 5,
    "finetuned": 1,
    "runs_digits": 1,
    "table_table1": 1,
    **{f"figure_fig{number}": 1 for number in (1, 2, 4, 5)},
    "claims": 1,
    "comparison": 1,
    "leaderboard": 1,
    "overview": 1,
    "all": 1,
}


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of the finished clone, with its results and Snakemake's own records, to be changed by one test."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_everything_is_planned_where_there_is_nothing(tmp_path):
    assert planned(clone(tmp_path)) == ALL


def test_the_results_are_complete(finished):
    runs = pd.read_csv(finished / "results" / "runs" / "digits.csv")
    counts = runs.groupby("method").size().to_dict()
    assert counts == {"retrained": 1, "original": 2, "ft": 4, "amun_salun": 8}
    assert not runs.diverged.any()
    of_classes = runs.filter(like="class_accuracy")  # no whole class is forgotten
    assert of_classes.isna().all(axis=None)
    assert runs.filter(like="accuracy").drop(columns=of_classes).notna().all(axis=None)
    pairs = pd.read_csv(finished / "results" / "comparison.csv").set_index("judge")
    assert pairs.method.unique().tolist() == ["ft"]
    gaps = runs.groupby(["method", "access"]).average_gap_ft_auc.mean()
    assert pairs.difference["average_gap_ft_auc"] == pytest.approx(
        gaps["ft", "with_remain"] - gaps["amun_salun", "with_remain"], abs=2e-6
    )
    assert (finished / "results" / "overview.md").read_text().startswith("Over all judges, with D_R ")
    files = [p for p in (finished / "results" / "store").rglob("*") if p.is_file() and not p.name.startswith(".")]
    artifacts = [p for p in files if p.suffix != ".json"]
    assert len(artifacts) > 20
    assert all(p.with_name(p.name + ".json").is_file() for p in artifacts)


def test_every_reference_model_is_the_one_that_its_file_says(finished):
    """Also where several jobs train them: each job's share is its own."""
    files = sorted((finished / "results" / "store").rglob("reference*.safetensors"))
    assert [path.name for path in files] == [f"reference{r}.safetensors" for r in range(4)]
    shares = [json.loads(path.with_name(path.name + ".json").read_text())["parameters"]["members"] for path in files]
    assert shares == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert len({path.read_bytes() for path in files}) == 4


def test_a_killed_job_s_models_stay_also_in_a_job_of_another_size(finished, tmp_path):
    """kill -9 with half of the models there; then one job for all of them, in which half is left to train."""
    where = clone(tmp_path / "clone")
    with open(tmp_path / "said.txt", "w") as said:
        running = start(where, "--cores", "1", "--until", "references", stdout=said)
    store, until = where / "results" / "store", time.monotonic() + 600
    while len(models := sorted(store.rglob("reference?.safetensors"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    there = {path: path.stat().st_ino for path in models}
    assert len(there) == 2
    snakemake(where, "--unlock")
    edit(where / CONFIG, "references_per_job: 2", "references_per_job: 4")
    (known,) = (finished / "results" / "store").rglob("signals.h5")
    signals = known.relative_to(finished)
    assert planned(where, str(signals)) == {"references": 1, "signals": 1}
    snakemake(where, "--cores", "1", "--", str(signals))
    assert (where / signals).read_bytes() == known.read_bytes()
    assert {path: path.stat().st_ino for path in there} == there


def test_a_second_run_does_nothing(finished):
    assert planned(finished) == {}


def test_a_comment_in_any_step_runs_nothing(copy):
    for path in (copy / "amun_steps").rglob("*.py"):
        path.write_text(path.read_text() + "\n# a comment\n")
    assert planned(copy) == {}


def test_one_method_s_loss_runs_that_method_its_scores_and_the_views(copy):
    edit(copy / "amun_steps" / "methods" / "ft.py", "[request.remain]", "[request.remain, request.remain]")
    assert planned(copy) == {
        "tune": 2, "choose": 1, "unlearn": 1, "score": 1, "continuous": 1,
        "runs_digits": 1, "table_table1": 1, "figure_fig2": 1, "claims": 1,
        "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip


def test_a_file_that_is_missing_is_made_for_what_needs_it_and_nothing_else_runs_with_it(copy):
    """Every job reads the data set, and the methods that stay read the adversarial sets."""
    store = copy / "results" / "store"
    for path in (*store.rglob("dataset.h5"), *store.rglob("original[01].h5"), *store.rglob("reference*.safetensors")):
        path.unlink()
    assert planned(copy) == {}
    edit(copy / CONFIG, "amun_salun: {grid: {include_forget: [true]", "amun_salun: {grid: {include_forget: [false]")
    assert planned(copy) == {
        "dataset": 1, "adversarial": 2, "tune": 4, "choose": 2, "unlearn": 2, "score": 2, "continuous": 4,
        "runs_digits": 1, "table_table1": 1, "figure_fig2": 1, "figure_fig4": 1, "figure_fig5": 1,
        "claims": 1, "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip
    model = next(store.rglob("set0.safetensors"))
    model.unlink()
    assert planned(copy, model.relative_to(copy).as_posix()) == {"dataset": 1, "retrained": 1}


def test_a_method_s_code_runs_the_methods_that_are_built_on_it(copy):
    edit(copy / "amun_steps" / "methods" / "amun.py", "if include_forget:", "if not include_forget:")
    assert planned(copy) == {
        "tune": 4, "choose": 2, "unlearn": 2, "score": 2, "continuous": 4, "runs_digits": 1, "table_table1": 1,
        "figure_fig2": 1, "figure_fig5": 1, "claims": 1, "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip


def test_the_attack_runs_what_builds_on_the_adversarial_sets(copy):
    edit(copy / CONFIG, "steps: 50", "steps: 40")
    assert planned(copy) == {
        "adversarial": 2, "tune": 4, "choose": 2, "unlearn": 2, "score": 2, "continuous": 4, "finetuned": 1,
        "runs_digits": 1, "table_table1": 1, "figure_fig1": 1, "figure_fig2": 1, "figure_fig4": 1, "figure_fig5": 1,
        "claims": 1, "comparison": 1, "leaderboard": 1, "overview": 1, "all": 1,
    }  # fmt: skip


def test_models_per_job_and_per_stack_are_no_part_of_an_address(copy):
    edit(copy / CONFIG, "references_per_job: 2", "references_per_job: 4")
    edit(copy / CONFIG, "trials_per_job: 1", "trials_per_job: 2")
    edit(copy / CONFIG, "stack: 4", "stack: 3")
    assert planned(copy) == {}


def test_a_value_changed_and_changed_back_computes_nothing_again(copy):
    before = views(copy)
    edit(copy / CONFIG, "ft: {}", "ft: {grid: {}}")
    assert planned(copy) == {}  # the same, said in other words
    edit(copy / CONFIG, "ft: {grid: {}}", "ft: {grid: {step: [1]}}")
    snakemake(copy, "--cores", "2", "results/tables/table1.csv", "results/runs/digits.csv")
    assert views(copy) != before
    edit(copy / CONFIG, "ft: {grid: {step: [1]}}", "ft: {}")
    # only what people read is put together again
    assert set(planned(copy)) <= {
        "runs_digits",
        "table_table1",
        "figure_fig2",
        "claims",
        "comparison",
        "leaderboard",
        "overview",
        "all",
    }
    snakemake(copy, "--cores", "2")
    assert views(copy) == before


def test_results_copied_to_another_clone_are_valid_there(finished, tmp_path):
    """Without Snakemake's records, and with all file times shuffled."""
    where = clone(tmp_path / "other")
    shutil.copytree(finished / "results", where / "results")
    files = [p for p in where.rglob("*") if p.is_file()]
    times = [1_600_000_000 + 1000 * k for k in range(len(files))]
    random.Random(0).shuffle(times)
    for path, moment in zip(files, times, strict=True):
        os.utime(path, (moment, moment))
    assert planned(where) == {}


def test_a_view_that_shows_another_config_s_results_is_made_again(finished, tmp_path):
    """Also where nothing but the results was copied, so that Snakemake has no record of what the view shows."""
    where = clone(tmp_path / "other")
    shutil.copytree(finished / "results", where / "results")
    edit(where / CONFIG, "test_accuracy, ft_auc, average_gap", "test_accuracy, mis, average_gap")
    assert planned(where) == {"table_table1": 1, "all": 1}
    snakemake(where, "--cores", "1")
    assert "mis_mean" in (where / "results" / "tables" / "table1.csv").read_text()
    assert planned(where) == {}
    edit(where / CONFIG, "test_accuracy, mis, average_gap", "test_accuracy, ft_auc, average_gap")
    assert planned(where) == {"table_table1": 1, "all": 1}


def test_a_diverged_run_is_a_row_that_says_so(copy):
    edit(copy / CONFIG, "learning_rate: [1.0e-2, 1.0e-3]", "learning_rate: [1.0e+30]")
    output = snakemake(copy, "--cores", "2", "results/tables/table1.csv", "results/runs/digits.csv")
    assert "FT AUC nan (mean of 0; 4 diverged)" in output
    runs = pd.read_csv(copy / "results" / "runs" / "digits.csv")
    diverged = runs[runs.diverged]
    assert set(diverged.method) == {"ft", "amun_salun"}
    assert len(diverged) == 12
    assert diverged[["unlearn_accuracy", "ft_auc", "mis", "average_gap_ft_auc"]].isna().all(axis=None)
    table = pd.read_csv(copy / "results" / "tables" / "table1.csv").set_index("method")
    assert table.loc["ft", "random10_diverged"] == 4
