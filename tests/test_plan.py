"""The plan before the spend: the workflow's own jobs, and where their cost comes from."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from running import CONFIG, REPOSITORY, clone, edit, planned

from amun_steps.datasets import Sizes
from amun_steps.plan import calibration, workflow
from amun_steps.plan import cost as plan
from amun_steps.plan.config_file import read
from amun_steps.plan.jobs import Job, dearest_paths, makespan, read_jobs, stage_of
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.views import load_file
from amun_steps.plan.work import images_of, sizes_of, work_of
from amun_steps.steps import dataset as data
from amun_steps.store.receipts import RECEIPT
from amun_steps.store.step import InputError

TRAIN, TEST, FORGET = 898, 899, 90  # of digits with test_fraction 0.5; a tenth of TRAIN
ALL = TRAIN + TEST


@pytest.fixture(scope="module")
def whole():
    return load_file(Path(__file__).parent.parent / CONFIG)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """A clone without results."""
    return clone(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def jobs(fresh) -> list[Job]:
    """All jobs of the tiny config, all to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fresh)
        return read_jobs(Path(CONFIG))


@pytest.fixture
def priced(monkeypatch):
    """Everything that is counted takes a second."""
    monkeypatch.setattr(plan, "measure", lambda what, context: 1.0)


def of(jobs, stage: str, part: str = "") -> list[Job]:
    return [job for job in jobs if job.stage == stage and part in job.name]


def counts(jobs, whole, stage: str, part: str = "") -> list[dict[str, int]]:
    """What each job of a stage passes over; `part` is a part of its name."""
    sizes = sizes_of(next(s for s in whole.stages.values() if s.kind == "dataset"))
    return [dict(work_of(job, stage_of(job, whole), sizes).counts) for job in of(jobs, stage, part)]


def finish(jobs, seconds, size: int = 10, device: str = "a GPU") -> list[Job]:
    """The jobs as finished ones, with a receipt beside each file that says `seconds(job)`, in which a job's reference
    models were all trained."""
    for job in jobs:
        for path in map(Path, (*job.outputs, *job.models)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made by hand")
            parameters = {"members": [*range(len(job.models))]} if path.as_posix() in job.models else {}
            receipt = {
                "seconds": seconds(job),
                "bytes": size,
                "device": device,
                "parameters": parameters,
                "sha256": "",
                "inputs": [],
            }
            path.with_name(path.name + RECEIPT).write_text(json.dumps(receipt))
    return [replace(job, to_do=False) for job in jobs]


def test_the_jobs_are_those_of_the_workflow_s_dry_run(jobs, fresh, whole):
    found = [job.rule for job in jobs]
    assert {rule: found.count(rule) for rule in found} | {"all": 1} == planned(fresh)
    assert all(job.to_do for job in jobs)
    assert all(stage_of(job, whole) for job in jobs if job.stage != "views")
    makers = {path for job in jobs for path in job.outputs}
    assert all(path in makers for job in jobs for path in job.inputs)
    assert len(of(jobs, "references")) == 2


def test_what_is_done_is_not_to_do(jobs, fresh, whole, tmp_path, monkeypatch, priced):
    """In another clone, where the data set is real, and all else up to half of the references is made by hand."""
    monkeypatch.chdir(clone(tmp_path))
    (dataset,) = of(jobs, "dataset")
    parameters = stage_of(dataset, whole).parameters
    data.dataset(source=parameters["source"], parameters=parameters["parameters"], output=Path(dataset.outputs[0]))
    finish([job for job in jobs if job.stage == "inclusion" or "/models0to1." in job.name], lambda job: 7.0)
    now = read_jobs(Path(CONFIG))
    done = {job.name for job in now if not job.to_do}
    folder = "digits/inclusion4/small_resnet-references"
    assert done == {"digits/dataset.h5", "digits/inclusion4/inclusion.h5", f"{folder}/models0to1.sha256"}
    costs = plan.costs_of(now, whole)
    (other,) = of(now, "references", "/models2to3.")
    assert costs[other] == plan.Cost(7.0, 20, "receipts, a GPU")
    text = plan.report(now, costs)
    assert "To do: 0.00 GPU-hours; receipts, a GPU" in text
    assert "GPU-hours; calibration" in text
    counted = plan.costs_of(now, whole, plan.known_gpu("h100"))
    (trained,) = of(now, "originals")
    assert counted[trained].source == "counted, H100 at 40% of what it can do"
    assert 0 < counted[trained].seconds < 1
    assert "H100" in counted[other].source  # the receipts are of another device
    priced_text = plan.report(now, counted, price=2.0)
    assert "GPU-hours; counted, H100 at 40% of what it can do" in priced_text
    assert "Moved to and from a GPU's memory: " in priced_text
    assert "Price: 0.0" in priced_text
    (row,) = [line.split() for line in text.splitlines() if " references " in line]
    assert row[2:10] == ["2", "1", "1", "GPU", "7.0", "s", "7.0", "s"]


def test_of_a_listing_half_of_which_is_there_the_other_half_is_to_do(jobs, whole, tmp_path, monkeypatch, priced):
    """By the receipt of the one that is there; where none is, by calibration; nothing where only the listing lacks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "sizes_of", lambda stage: Sizes(TRAIN, TEST, (1, 8, 8), 10))
    (job, other) = sorted(of(jobs, "references"), key=lambda job: job.name)
    assert plan.costs_of([job], whole)[job].seconds == 2 * 4 * ALL // 2
    finish([job], lambda job: 6.0)
    assert plan.costs_of([job], whole)[job] == plan.Cost(0.0, 0, "models that are there")
    Path(job.models[1]).unlink()
    assert plan.costs_of([job], whole)[job] == plan.Cost(3.0, 10, "receipts, a GPU")
    Path(job.models[1] + RECEIPT).unlink()
    costs = plan.costs_of([job, other], whole)
    assert costs[job] == plan.Cost(3.0, 10, "receipts, a GPU")
    assert costs[other] == plan.Cost(6.0, 20, "receipts, a GPU")


def test_with_receipts_the_sum_is_exactly_theirs(jobs, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "measure", lambda what, context: pytest.fail("calibrated, though there are receipts"))
    monkeypatch.setattr(plan, "sizes_of", lambda stage: Sizes(TRAIN, TEST, (1, 8, 8), 10))
    done = finish(jobs, lambda job: 0.125 * len(job.name))
    costs = plan.costs_of(done, whole)
    assert sum(cost.seconds for cost in costs.values()) == sum(0.125 * len(job.name) for job in jobs)
    assert sum(cost.bytes for cost in costs.values()) == 10 * sum(len(job.models or job.outputs) for job in jobs)
    assert f"Done: {len(jobs)} jobs" in plan.report(done, costs)


def test_equal_work_costs_the_mean_of_its_receipts_and_other_work_is_calibrated(jobs, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "measure", lambda what, context: 0.5)
    without = of(jobs, "tune", "amun_salun-without_remain")
    done = finish(without[:1], lambda job: 3.0) + finish(of(jobs, "score", "/ft/"), lambda job: 5.0)
    names = {job.name for job in done}
    costs = plan.costs_of([*done, *(job for job in jobs if job.name not in names)], whole)
    assert costs[without[1]].seconds == 3.0
    assert {costs[job].seconds for job in of(jobs, "score", "amun_salun")} == {5.0}
    (work,) = counts(jobs, whole, "tune", "ft-with_remain-random10-tuned/part0")
    calibrated = costs[of(jobs, "tune", "ft-with_remain-random10-tuned/part0")[0]]
    assert calibrated.seconds == 0.5 * sum(work.values())
    assert calibrated.source.startswith("calibration, ")
    assert costs[of(jobs, "choose")[0]] == plan.Cost(None, 0, "unknown")


@pytest.mark.parametrize(
    ("stage", "part", "expected"),
    [
        ("originals", "", {"train": 2 * 4 * TRAIN, "predict": 2 * ALL}),
        ("references", "/models0to1.", {"train": 4 * ALL // 2}),  # each of them
        ("retrained", "set0", {"train": 4 * (TRAIN - FORGET), "predict": ALL}),
        ("signals", "", {"predict": 4 * ALL}),
        ("adversarial", "original1", {"attack": 50 * TRAIN}),
        ("tune", "ft-with_remain-random10-tuned/part1", {"train": 2 * 808, "predict": ALL, "score": 1}),
        ("tune", "salun-with_remain-random10-tuned/part0", {"train": 2 * (808 + 180), "predict": ALL, "score": 1}),
        ("tune", "salun-without_remain-random10-tuned/part0", {"train": 2 * 180, "predict": ALL, "score": 1}),
        ("unlearn", "/ft/", {"train": 4 * 2 * 808, "predict": 4 * ALL}),
        ("unlearn", "salun-without_remain", {"train": 4 * 2 * 180, "predict": 4 * ALL}),
        ("score", "small_resnet/scores", {"score": 2, "svm": 2}),
        ("score", "retrained", {"score": 1, "svm": 1}),
        ("score", "/ft/", {"score": 4, "svm": 4}),
        ("choose", "ft-", {}),
    ],
)
def test_images_are_counted_as_by_hand(jobs, whole, stage, part, expected):
    assert counts(jobs, whole, stage, part) == [expected]


def test_half_of_the_references_are_half_of_the_shadows():
    """Where the others chose what is forgotten."""
    config = read(REPOSITORY / "config" / "ensemble.yaml")
    config["forget"]["memorised10"] = {"memorised": "high", "fraction": 0.1, "sets": 1}
    config["forget"]["random10"]["sets"] = 1
    config["experiments"]["digits"]["forget"].append("memorised10")
    stages = Plan(config).experiments["digits"]
    sizes = sizes_of(stages.dataset())
    found = {}
    for family in ("random10", "memorised10"):
        stage = stages.shadows("ft", "with_remain", family)
        job = Job("shadows", [], [stage.file("shadows.h5")], {}, {}, True)
        found[family] = dict(work_of(job, stage, sizes).counts)
    assert {name: 2 * count for name, count in found["memorised10"].items()} == found["random10"]


def test_a_profile_of_the_user_s_does_not_hide_the_jobs(fresh, jobs, tmp_path, monkeypatch):
    (tmp_path / "quiet").mkdir()
    (tmp_path / "quiet" / "config.yaml").write_text("quiet: [rules]\n")
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(tmp_path / "quiet"))
    monkeypatch.chdir(fresh)
    assert len(read_jobs(Path(CONFIG))) == len(jobs)


def test_figures_of_requests_and_fine_tuning_are_counted_as_by_hand(jobs, whole):
    each = 45  # two requests of a twentieth of 898 samples, by 2 originals x 2 runs, 2 epochs each
    (found,) = counts(jobs, whole, "continuous", "amun_salun-with_remain-random10-tuned/two_of_5-adaptive/")
    trained = 4 * 2 * ((TRAIN - each + 2 * each) + (TRAIN - 2 * each + 2 * each))
    assert found == {"train": trained, "predict": 4 * 2 * ALL, "score": 4 * 2, "attack": 4 * 2 * 50 * each}
    (found,) = counts(jobs, whole, "finetuned")
    panels = TRAIN + FORGET, FORGET + FORGET, FORGET  # 6 sets beside D, D_F and nothing; tested before and after epochs
    assert found == {"train": 2 * 6 * 4 * sum(panels), "predict": 2 * 6 * 3 * 5 * TEST}


def test_bytes_are_those_of_models_and_arrays(jobs, whole):
    sizes = Sizes(TRAIN, TEST, (1, 8, 8), 10)

    def written(stage, part=""):
        (job,) = of(jobs, stage, part)
        return work_of(job, stage_of(job, whole), sizes).bytes

    model = written("references", "/models0to1.")
    assert written("dataset") == ALL * (64 + 2 + 1)
    assert written("originals") == 2 * (model + ALL * 10 * 4)
    assert written("signals") == 4 * ALL * 8
    assert written("adversarial", "original0") == TRAIN * (64 * 4 + 8 + 4 + 4 + 8)


def test_sizes_are_known_before_there_are_data():
    def sizes(source, **parameters):
        wanted = {"source": source, "parameters": parameters}
        return sizes_of(Stage("dataset", "d", wanted, ["amun_steps.steps.dataset"]))

    assert sizes("cifar10", folder="nowhere") == Sizes(50_000, 10_000, (3, 32, 32), 10)
    assert sizes("tiny_imagenet", folder="nowhere") == Sizes(100_000, 10_000, (3, 64, 64), 200)
    assert sizes("fashion_mnist", folder="nowhere", train_samples=80).train == 80
    assert sizes("digits", test_fraction=0.5, seed=0) == Sizes(TRAIN, TEST, (1, 8, 8), 10)


def test_what_cannot_be_counted_is_unknown(jobs, whole):
    """An attack of one's own, and clipping."""
    sizes = Sizes(TRAIN, TEST, (1, 8, 8), 10)
    (job,) = of(jobs, "adversarial", "original0")
    stage = stage_of(job, whole)
    attack = {"attack": {"algorithm": "my_attack", "parameters": {}}}
    assert work_of(job, replace(stage, parameters={**stage.parameters, **attack}), sizes).counts == ()
    (job,) = of(jobs, "originals")
    stage = stage_of(job, whole)
    training = {**stage.parameters["training"], "clipping": {"bound": 1.0}}
    assert work_of(job, replace(stage, parameters={**stage.parameters, "training": training}), sizes).counts == ()


def test_a_stage_of_which_a_part_is_unknown_is_a_lower_bound(jobs):
    tune = of(jobs, "tune")
    costs = dict.fromkeys(tune[1:], plan.Cost(2.0, 0, "receipts, a GPU")) | {tune[0]: plan.Cost(None, 0, "unknown")}
    text = plan.report(tune, costs)
    assert "> 10.0 s" in text
    assert "in no sum: tune" in text


def test_a_calibration_is_a_positive_time_of_everything(jobs, whole, monkeypatch, caplog):
    """And is announced, without the losses of what it trains."""
    caplog.set_level("INFO", "amun_steps")
    monkeypatch.setattr(calibration, "SECONDS", 0.02)
    monkeypatch.setattr(calibration, "TEST", 100)
    sizes = Sizes(TRAIN, TEST, (1, 8, 8), 10)
    (job,) = of(jobs, "originals")
    context = json.loads(work_of(job, stage_of(job, whole), sizes).context)
    for trades in (None, {"beta": 6.0, "epsilon": 0.1, "steps": 2, "step_size": 0.05}):
        for what in calibration.MEASURES:
            seconds = plan.measure(what, json.dumps(context | {"forget": FORGET, "trades": trades}))
            assert 0 < seconds < math.inf
    assert caplog.messages
    assert all(message.startswith("measuring how fast this machine is: ") for message in caplog.messages)


REMAINED, FORGOTTEN = 900, 100


@pytest.mark.parametrize(
    ("method", "hyperparameters", "images"),
    [
        ("neggrad_plus", {"alpha": 0.9}, 5 * 2 * REMAINED),  # a batch of D_F in every step
        ("scrub", {"ascent_epochs": 3}, 5 * REMAINED + 3 * FORGOTTEN),
        ("bad_teacher", {"share": 0.3}, 5 * (0.3 * REMAINED + FORGOTTEN)),
        ("unsir", {"share": 0.25, "noise_steps": 1}, 0.25 * REMAINED + FORGOTTEN + 4 * REMAINED),
        ("ssd", {}, 0),
        ("amun", {"include_forget": True}, 5 * (REMAINED + 2 * FORGOTTEN)),
    ],
)
def test_what_a_method_passes_over_is_counted_over_its_epochs(method, hyperparameters, images):
    unlearning = {"method": method, "remain": True, "recipe": {"epochs": 5}}
    point = hyperparameters | {"learning_rate": 0.1, "step": None}
    assert images_of(unlearning, point, REMAINED + FORGOTTEN, FORGOTTEN) == images


def test_the_longest_chain_is_the_dearest_path():
    def job(name, *inputs):
        return Job(name, inputs, [name], {}, {}, True)

    jobs = [job("a"), job("b", "a"), job("c", "a"), job("d", "b", "c", "a", "is there"), job("e", "a")]
    seconds = dict(zip(jobs, (1, 10, 4, 2, 12), strict=True))
    paths = dearest_paths(jobs, seconds.get)
    assert [j.rule for j in paths[jobs[3]]] == ["a", "b", "d"]
    costs = {j: plan.Cost(s, 0, "receipts, a GPU") for j, s in seconds.items()}
    lines = plan.report(jobs, costs).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("Longest chain"))
    assert lines[at].endswith(": 13.0 s")
    assert [line.split()[-1] for line in lines[at + 1 :]] == ["a", "b", "d"]
    assert not any(line.startswith("Time by") for line in lines)


def test_on_two_gpus_the_longest_chain_goes_first_and_the_cpu_waits_for_none():
    """By hand: a, then b beside d; c when d has ended; e, on the CPU, beside all."""

    def job(name, *inputs, gpu="1"):
        return Job(name, inputs, [name], {}, {"gpu": gpu}, True)

    jobs = [job("a"), job("b", "a"), job("c", "a"), job("d", "a"), job("e", "a", gpu="0"), job("f", "d")]
    seconds = dict(zip(jobs, (1, 4, 3, 2, 9, 6), strict=True)).get
    assert makespan(jobs, seconds, 2) == 1 + 9
    assert makespan(jobs[:4] + jobs[5:], seconds, 2) == 1 + max(2 + 6, 4 + 3)
    assert makespan(jobs[:4], seconds, 2) == 1 + max(4, 3 + 2)
    assert makespan(jobs, seconds, 1) == 1 + 2 + 6 + 4 + 3
    assert makespan(jobs, seconds, 64) == 1 + 9


@given(
    st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(0, 11), max_size=3)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_the_time_on_some_gpus_is_within_the_bounds_of_list_scheduling(drawn, gpus):
    """Not below the longest chain and the mean load, and not above their sum (Graham, 1969)."""
    jobs = [
        Job(str(k), [str(n) for n in earlier if n < k], [str(k)], {}, {"gpu": "1"}, True)
        for k, (_, earlier) in enumerate(drawn)
    ]
    seconds = {job: float(length) for job, (length, _) in zip(jobs, drawn, strict=True)}
    chain = max(sum(map(seconds.get, path)) for path in dearest_paths(jobs, seconds.get).values())
    load = sum(seconds.values()) / gpus
    assert max(chain, load) <= makespan(jobs, seconds.get, gpus) <= load + chain * (1 - 1 / gpus) + 1e-9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("seed: [", "line 2, column 1"),
        ("", "expected"),
        ("seed: 0\n", "lacks the key"),
    ],
)
def test_a_wrong_path_or_config_is_one_clear_message(content, message, tmp_path):
    config = tmp_path / "config.yaml"
    if content is not None:
        config.write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        plan.plan(config)
    assert str(config) in str(raised.value)


def test_a_workflow_that_cannot_be_planned_says_why(fresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow, "snakefile", lambda: tmp_path / "Snakefile")
    (tmp_path / "Snakefile").write_text("rule of: thumb\n")
    with pytest.raises(InputError, match=r"tiny\.yaml: Snakemake cannot plan it:\n(.*\n)*.*Snakefile"):
        plan.plan(fresh / CONFIG)


@pytest.mark.parametrize("place", ["amun_steps", "."])
def test_the_workflow_is_found_in_the_package_or_beside_it(place, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "PACKAGE", tmp_path / "amun_steps")
    with pytest.raises(InputError, match=f"found neither {tmp_path}/amun_steps/workflow/Snakefile nor {tmp_path}/work"):
        workflow.snakefile()
    (tmp_path / place / "workflow").mkdir(parents=True)
    (tmp_path / place / "workflow" / "Snakefile").touch()
    assert workflow.snakefile() == tmp_path / place / "workflow" / "Snakefile"


def test_a_mistake_in_a_config_is_named(fresh, tmp_path):
    config = tmp_path / "tiny.yaml"
    config.write_text((fresh / CONFIG).read_text())
    edit(config, "attack: pgd50\n    forget", "attack: pgd51\n    forget")
    assert yaml.safe_load(config.read_text())
    with pytest.raises(InputError, match="did you mean 'pgd50'"):
        plan.plan(config)
