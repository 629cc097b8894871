"""Benchmarks as small as they go: both ways do the same work, and what is measured is written down. No times."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from toy import CPU, SMALL, images, recipe

from amun_steps.judging import rmia
from amun_steps.plan.config_file import read
from amun_steps.plan.plan import Plan
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import initialise

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import bench
import demo
import gpu
import growth
import noop
import peers
import racing
import request as by_amun
import scoring
import training

TINY = Path(__file__).parent / "tiny.yaml"


def installed(name: str):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name}, of the extra bench, is missing")


def numbers(found) -> list[float]:
    """All numbers in nested answers."""
    if isinstance(found, dict):
        return [number for value in found.values() for number in numbers(value)]
    return [found] if isinstance(found, float) else []


def sane(rows) -> None:
    assert rows
    assert all(math.isfinite(row.ratio) and row.ratio > 0 for row in rows)


def test_the_gpu_s_questions_are_answered_in_one_file(tmp_path, capsys):
    found = gpu.main(tmp_path / "some" / "gpu.json", gpu.ON_CPU)
    assert json.loads((tmp_path / "some" / "gpu.json").read_text()).keys() == found.keys()
    assert found.keys() >= set(gpu.QUESTIONS)
    assert all(math.isfinite(number) and number >= 0 for number in numbers(found))
    for of in found["speed"].values():
        assert of["images a second"] > 0
        assert of["of the bare step"] > 0
    assert math.isclose(sum(found["where time goes"]["shares"].values()), 1)
    assert "stacks: nine tenths of the most from" in capsys.readouterr().out


def test_a_question_s_rows_take_the_place_of_its_own_alone():
    table = "<!-- ratios -->\n| a |\n| - |\n| old | `runs` |\n| other | `noop` |\n<!-- end -->"
    page = f"before\n{table}\nbetween <!-- growth -->\n| b |\n| - |\n<!-- end -->\nafter"
    found = bench.put(bench.put(page, "runs", ["| 1 | `runs` |", "| 2 | `runs` |"]), "rmia", ["| 3 | `rmia` |"])
    rows = "| 3 | `rmia` |\n| 1 | `runs` |\n| 2 | `runs` |\n| other | `noop` |"
    assert found == page.replace("| old | `runs` |\n| other | `noop` |", rows)
    assert bench.put(page, "growth", ["| 4 | `growth` |"]) == page.replace(
        "| b |\n| - |", "| b |\n| - |\n| 4 | `growth` |"
    )


def test_what_missed_its_target_says_so():
    missed, met = (bench.Ratio.of_times("a loop", 2.0, theirs, 3) for theirs in (5.0, 6.0))
    assert bench.cells(missed) == ["2 s", "a loop", "5 s", "2.5", "3 **missed**"]
    assert bench.cells(met)[-2:] == ["3", "3"]
    sizes = [10, 100, 1000]
    square, sorting = (growth.Curve("work", "n", sizes, times) for times in ([1, 100, 10_000], growth.n_log_n(sizes)))
    assert math.isclose(square.exponent, 2)
    assert bench.cells(square)[4] == "2.00 **worse**"
    assert "worse" not in bench.cells(sorting)[4]


def test_the_page_gets_an_answer_with_date_and_machine(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text(bench.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setitem(bench.QUESTIONS, "runs", lambda: [bench.Ratio.of_times("a loop", 1.0, 1234.0)])
    bench.main(["runs"], page)
    (row,) = [line for line in page.read_text(encoding="utf-8").splitlines() if line.endswith("| `runs` |")]
    assert row.startswith("| 1 s | a loop | 1,230 s | 1,230 | - | 20")
    assert f"torch {torch.__version__}" in row
    with pytest.raises(SystemExit, match="found the question 'run'"):
        bench.main(["run"], page)


def test_the_page_explains_every_question():
    text = bench.PAGE.read_text(encoding="utf-8").partition("## What the questions are")[2]
    assert all(f"| `{name}` |" in text for name in bench.QUESTIONS)


def test_the_loop_over_samples_and_all_pairs_score_as_sorting_does():
    draws = np.random.default_rng(0)
    target, references = draws.uniform(0.1, 0.9, 50), draws.uniform(0.1, 0.9, (4, 50))
    scores = rmia.scores(target, rmia.prior(references), 2.0)
    assert len(np.unique(scores)) > 5
    assert np.array_equal(peers.rmia(target, references, 2.0, range(50)), scores)
    assert np.array_equal(peers.all_pairs(target, rmia.prior(references), 2.0), scores)
    sane(scoring.attack(samples=50, references=4, few=5, repeats=1))


def test_a_run_is_judged_alike_alone_and_with_others(tmp_path):
    scoring.random_logits(tmp_path, np.random.default_rng(0), 3, 300, 4, 10)
    together = scoring.judged(tmp_path, 3)
    assert len(together) == 3
    assert scoring.judged(tmp_path, 1) == together[:1] != together[1:2]
    sane(scoring.runs(count=2, samples=300, references=4, repeats=1))


@pytest.mark.parametrize("way", ["resident", "loader"])
def test_most_code_trains_the_same_model(way):
    """In one batch of all samples, whose order is no matter."""
    pool, labels = images(20)
    stack, wanted, schedule = initialise(SMALL, [3], CPU), recipe(epochs=4, batch_size=20), Schedule(0.1, 2, 0.5)
    pictures = peers.Pictures(pool.numpy().transpose(0, 2, 3, 1), labels.numpy())
    batches = peers.Resident(pool, labels, 20) if way == "resident" else peers.loaded(pictures, 20)
    theirs = peers.train(demo.module_of(stack), batches, wanted, schedule)
    before = stack.weights.clone()
    fit(stack, pool, [Member(lambda *_: [Samples.of(torch.arange(20), labels)], schedule, 0)], wanted)
    found = torch.nn.utils.parameters_to_vector(theirs.parameters())
    torch.testing.assert_close(found, stack.weights[0], rtol=1e-3, atol=1e-5)
    assert (stack.weights - before).abs().max() > 0.01
    with torch.no_grad():
        torch.testing.assert_close(theirs(pool), stack.predict(pool)[0], rtol=1e-3, atol=1e-3)


def test_training_is_timed_in_all_ways():
    sane(training.small_model(epochs=1, models=2, repeats=1))
    sane(training.step(gpu.SMALL, repeats=1))


@installed("torchattacks")
def test_the_ladder_of_torchattacks_finds_adversarial_examples():
    model, x, y = bench.attacks.attacked(40, epochs=5)
    module = demo.module_of(model)
    image, label = peers.ladder(module, x, y, 0.08)
    found = label != y
    assert found.float().mean() > 0.9
    assert torch.equal(module(image).argmax(dim=1), label)
    distance = (image - x).flatten(1).norm(dim=1)[found]
    radius = 0.08 * 2 ** torch.log2(distance.clamp_min(0.08) / 0.08).sub(1e-4).ceil()
    assert (distance > 0.9 * radius).float().mean() > 0.5, "it stays where its ball ends"
    sane(bench.attacks.algorithm1(samples=20, epochs=2, repeats=1))


@installed("adv_lib")
def test_ddn_of_adv_lib_finds_adversarial_examples_as_near_as_ours():
    model, x, y = bench.attacks.attacked(40, epochs=5)
    module = demo.module_of(model)
    found = peers.ddn(module, x, y, 100)
    right = module(x).argmax(dim=1) == y
    assert (module(found).argmax(dim=1) != y)[right].all()
    time, distance = bench.attacks.minimum_norm(samples=40, epochs=5, repeats=1)
    sane([time, distance])
    assert 0.8 < distance.ratio < 1.25


def test_amun_forgets_a_request_and_its_gap_is_that_of_the_judge():
    forgetting = by_amun.Forgetting(share=0.02, epochs=1)
    assert forgetting.forget.sum() == round(0.02 * forgetting.train.sum())
    assert not (forgetting.forget & ~forgetting.train).any()
    model = forgetting.ours(seed=0)
    assert not torch.equal(model.weights, forgetting.original.weights)
    gap = by_amun.Gap(forgetting, references=2, retrained=1)
    again = forgetting.digits.models([forgetting.train & ~forgetting.forget], first=1)
    assert gap.of(again.predict(forgetting.digits.images)[0].numpy()) == 0
    assert gap.of(model.predict(forgetting.digits.images)[0].numpy()) > 0


@installed("torchattacks")
def test_a_request_is_timed_in_both_ways():
    rows = by_amun.by_amun(epochs=2, references=2, retrained=1, repeats=1)
    sane(rows)
    assert all(row.ours.count("Avg. Gap") == row.theirs.count("Avg. Gap") == 1 for row in rows)


def test_a_dag_has_as_many_more_forget_sets():
    config = noop.multiplied(read(TINY), 3)
    assert list(config["forget"]) == ["random10", "random10_1", "random10_2"]
    once, thrice = (sum(s.kind == "unlearned" for s in Plan(c).stages.values()) for c in (read(TINY), config))
    assert thrice == 3 * once > 0


def test_nothing_to_do_is_timed_over_as_many_jobs_of_both():
    (row,) = noop.nothing_to_do((2,), TINY, repeats=1)
    sane([row])
    assert "jobs of an empty rule; forget sets x 2" in row.against


def test_the_growth_of_all_work_is_measured_and_drawn(tmp_path):
    small = {
        "samples": (60, 120),
        "references": (2, 4),
        "methods": (2, 3),
        "runs": (1, 2),
        "forget share": (0.02, 0.04),
    }
    sizes = {name: small[grows] for name, (_, grows, _) in growth.WORK.items()}
    curves = growth.growth(sizes, repeats=1, figure=tmp_path / "growth.png")
    assert [curve.work for curve in curves] == list(growth.WORK)
    assert all(len(curve.seconds) == 2 and min(curve.seconds) > 0 for curve in curves)
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_racing_is_replayed_in_every_order_of_the_originals(tmp_path, monkeypatch, capsys):
    """Four choices on two originals; where the second one is first, the best choice does not go on."""
    gaps = np.array([[1.0, 5.0], [4.0, 3.0], [9.0, 1.0], [9.0, 9.0]])
    assert racing.race(gaps, 0.5) == (4 + 2, 0)
    assert racing.race(gaps[:, ::-1], 0.5) == (4 + 2, 1)
    config = yaml.safe_load(TINY.read_text())
    config["tuning"] = {"originals": [0, 1], "learning_rate": [0.1, 0.01, 0.001, 1.0e-4], "step": [None]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    stages = Plan(config).experiments["digits"]
    for method, _, stage in racing.tuned(stages):
        stage.folder.mkdir(parents=True)
        found = gaps if method == "ft with remain" else gaps[:, [0, 0]]
        pd.DataFrame({"average_gap": found.ravel()}).to_csv(stage.folder / "grid.csv")
    asked = []

    def make(configs, targets):
        asked.extend(map(Path, targets))
        return all(path.parent.is_dir() for path in asked if path.name == "best.json")

    monkeypatch.setattr(racing, "make", make)
    monkeypatch.setattr(racing, "reported", lambda stages, stage, family, number: np.array([number, number + 2.0]))
    monkeypatch.setattr(racing, "cpu_seconds", lambda stages, stage, family, share: 6.0 if share else 8.0)
    racing.main(tmp_path / "config.yaml", "digits", [0.5])
    read = {Path(stage.builds_on["retrained"].file("set0.h5")) for _, _, stage in racing.tuned(stages)}
    assert {path for path in asked if path.name != "best.json"} == read  # by `reported`
    printed = capsys.readouterr().out
    assert "3 grids of 12 choices, 24 trials" in printed
    assert "| 0.5 | 75% | 1 of 6 (16.7%) | 0.50 (0.50) |" in printed
    assert "| ft with remain, random10 | 0.5: 50% | 3.00 | 3.50 | 1.00 ± 1.41 | 2.00 ± 1.41 |" in printed
    assert "| all | 16 | 12 | 75% |" in printed
