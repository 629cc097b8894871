"""Steps called as functions on small real data: what they draw, train, tune and score."""

import itertools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from toy import PLAIN, recipe

from amun_steps.judging import rmia
from amun_steps.judging.judge import load_judge
from amun_steps.judging.metrics import average_gap
from amun_steps.steps import references, train
from amun_steps.steps.adversarial import Attack, Search, adversarial, load_adversarial
from amun_steps.steps.choose import choices, choose, part_of
from amun_steps.steps.dataset import dataset
from amun_steps.steps.forget import fraction as draw_fraction
from amun_steps.steps.forget import load_forget
from amun_steps.steps.score import COLUMNS, Names, score
from amun_steps.steps.signals import signals
from amun_steps.steps.subsets import inclusion, load_inclusion, requests
from amun_steps.steps.train import Training, originals, retrained
from amun_steps.steps.tune import tune
from amun_steps.steps.unlearn import Choice, Run, Unlearner, Unlearning, unlearn
from amun_steps.store.arrays import write_arrays
from amun_steps.store.step import InputError
from amun_steps.training import checkpoint
from amun_steps.training import stack as stacks
from amun_steps.training.data import load
from amun_steps.training.recipe import Schedule

NETWORK = {"name": "small_resnet", "width": 8, "strides": [1], "stem_stride": 2}
TRAINING = Training(NETWORK, recipe(epochs=6, batch_size=64), Schedule(0.1, 4, 0.1), seed=0)
SIGNAL = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
GRID = {"learning_rate": [0.01, 1e-6], "step": [None], "include_forget": [True, False]}
PGD = Attack("pgd", {"steps": 20, "relative_step": 0.1}, Search(20, 0.01, 0.95))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of all stages up to tuning, by name, in one folder."""
    where = tmp_path_factory.mktemp("store")

    def file(name):
        return where / name

    data = file("dataset.h5")
    dataset(source="digits", parameters={"test_fraction": 0.5, "seed": 0}, output=data)
    draw_fraction(dataset=data, name="random10", fraction=0.1, sets=2, seed=0, output=file("forget.h5"))
    inclusion(dataset=data, references=4, seed=0, output=file("inclusion.h5"))
    outputs = {"models": file("originals.safetensors"), "outputs": file("originals.h5")}
    originals(dataset=data, training=TRAINING, count=2, **outputs)
    for which in range(3):
        outputs = {"models": file(f"set{which}.safetensors"), "outputs": file(f"set{which}.h5")}
        options = {"forget": file("forget.h5"), "forget_name": "random10", "set": which, "count": 2}
        retrained(dataset=data, training=TRAINING, **options, **outputs)
    options = {"inclusion": file("inclusion.h5"), "training": TRAINING, "output": file("models0to3.sha256")}
    references.references(dataset=data, first=0, last=3, **options)
    given = {"dataset": data, "inclusion": file("inclusion.h5"), "listings": [file("models0to3.sha256")]}
    signals(**given, signal=SIGNAL, output=file("signals.h5"))
    for o in range(2):
        options = {"originals": file("originals.safetensors"), "attack": PGD, "seed": 0}
        adversarial(dataset=data, original=o, output=file(f"adversarial{o}.h5"), **options)
    return file


def unlearning(method="amun", remain=True) -> Unlearning:
    return Unlearning(method, remain, recipe(epochs=2, batch_size=64, augmentation=PLAIN), seed=0)


def inputs(made, adversarial=True) -> dict:
    sets = [made("adversarial0.h5"), made("adversarial1.h5")] if adversarial else []
    names = {"dataset": made("dataset.h5"), "originals": made("originals.safetensors"), "forget": made("forget.h5")}
    return names | {"forget_name": "random10", "adversarial": sets}


def test_the_data_set_is_whole_stratified_and_training_samples_come_first(made):
    data = load(made("dataset.h5"))
    assert data.images.shape == (1797, 1, 8, 8)
    assert data.images.max() == 255
    assert data.classes == 10
    assert (np.diff(data.train.astype(int)) <= 0).all()
    shares = np.bincount(data.labels[data.train]) / np.bincount(data.labels)
    assert (abs(shares - 0.5) < 0.01).all()


def test_forget_sets_are_random_subsets_of_the_training_set_of_the_asked_size(made):
    data = load(made("dataset.h5"))
    sets = load_forget(made("forget.h5"), data.train)
    assert sets.shape == (3, 1797)
    assert (sets.sum(axis=1) == round(0.1 * data.train.sum())).all()
    assert not (sets & ~data.train).any()
    for a, b in itertools.combinations(sets, 2):
        assert 0 < (a & b).sum() < 30  # independent draws meet in about 9 samples


@pytest.mark.parametrize("fraction", [1e-9, 0.9999])
def test_a_fraction_that_leaves_nothing_to_forget_or_to_keep_is_an_error(made, tmp_path, fraction):
    options = {"dataset": made("dataset.h5"), "name": "some", "fraction": fraction, "sets": 1, "seed": 0}
    with pytest.raises(InputError, match=r"^forget.some.fraction: found .* of 898 training samples"):
        draw_fraction(**options, output=tmp_path / "forget.h5")


def test_requests_of_no_sample_are_an_error(made, tmp_path):
    options = {"dataset": made("dataset.h5"), "name": "some", "fraction": 1e-9, "sets": 1, "seed": 0}
    with pytest.raises(InputError, match=r"^requests.some.fraction: found 1e-09, which is 0 of 898"):
        requests(**options, requests=1, output=tmp_path / "requests.h5")


def test_a_forget_set_made_by_hand_is_checked(made, tmp_path):
    data, path = load(made("dataset.h5")), tmp_path / "forget.h5"
    indices, test, short = np.arange(10)[None], np.ones((1, len(data.labels)), dtype=bool), np.ones((1, 5), dtype=bool)
    for sets, message in ((indices, "int64, expected"), (test, "sample 898, which is a test sample"), (short, "1797")):
        write_arrays(path, {"forget": sets})
        with pytest.raises(InputError, match=rf"{path}: .*{message}"):
            load_forget(path, data.train)


IMAGES, LABELS, TRAIN = np.zeros((4, 3, 8, 8), dtype=np.uint8), np.arange(4), np.arange(4) < 2


@pytest.mark.parametrize(
    ("images", "labels", "train", "message"),
    [
        (IMAGES / 255, LABELS, TRAIN, "images .* float64 .* uint8"),
        (IMAGES.transpose(0, 2, 3, 1), LABELS, TRAIN, "channels before height and width"),
        (IMAGES, LABELS - 1, TRAIN, "labels .* from -1 to 2, expected classes from 0"),
        (IMAGES, LABELS + 40_000, TRAIN, "expected classes from 0 to 32767"),
        (IMAGES, LABELS[:3], TRAIN, r"labels .* expected \(4,\) integers"),
        (IMAGES, LABELS, TRAIN | True, "training samples and test samples"),
        (IMAGES, LABELS, LABELS, r"train .* expected \(4,\) bool"),
    ],
)
def test_what_a_reader_gives_is_checked(tmp_path, monkeypatch, images, labels, train, message):
    reader = ModuleType("amun_steps.datasets.mine")
    reader.read, reader.__file__ = lambda: (images, labels, train), "their/mine.py"
    monkeypatch.setitem(sys.modules, reader.__name__, reader)
    with pytest.raises(InputError, match=rf"^their/mine.py: read\(\) gave .*{message}"):
        dataset(source="mine", parameters={}, output=tmp_path / "dataset.h5")


@pytest.mark.parametrize("count", [2, 8, 16])
def test_each_sample_is_in_exactly_half_of_the_reference_models(made, tmp_path, count):
    inclusion(dataset=made("dataset.h5"), references=count, seed=1, output=tmp_path / "i.h5")
    matrix = load_inclusion(tmp_path / "i.h5")
    assert matrix.shape == (count, 1797)
    assert (matrix.sum(axis=0) == count // 2).all()
    assert len({tuple(row) for row in matrix}) == count


def test_an_odd_number_of_references_is_an_error(made, tmp_path):
    with pytest.raises(ValueError, match="references: found 3, expected an even number"):
        inclusion(dataset=made("dataset.h5"), references=3, seed=1, output=tmp_path / "i.h5")


def test_a_model_depends_on_its_name_and_its_data_not_on_who_is_trained_beside_it(made, tmp_path):
    alone = {
        "inclusion": made("inclusion.h5"),
        "members": [2],
        "training": TRAINING,
        "models": [tmp_path / "r.safetensors"],
    }
    train.references(dataset=made("dataset.h5"), **alone)
    found = stacks.load([tmp_path / "r.safetensors"], torch.device("cpu"))
    expected = stacks.load([made("reference2.safetensors")], torch.device("cpu"))
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-3, atol=1e-4)


def test_models_learn_what_they_are_trained_on(made):
    """After six epochs, all are far above chance, and the originals say what their file says they say."""
    data = load(made("dataset.h5"))
    with h5py.File(made("originals.h5")) as file:
        logits, loss = file["logits"][:], file["training_loss"][:]
        assert file["original"][:].tolist() == [0, 1]
    assert ((logits.argmax(axis=2) == data.labels).mean(axis=1) > 0.5).all()
    assert (loss[:, -1] < loss[:, 0]).all()
    models = stacks.load([made("originals.safetensors")], torch.device("cpu"))
    images = torch.from_numpy(data.images).float() / 255
    np.testing.assert_allclose(models.predict(images).numpy(), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("parameters", [SIGNAL, {"temperature": 1.0, "margin": 0.2, "taylor_terms": 2}])
def test_signals_are_those_of_the_models_one_by_one(made, tmp_path, parameters):
    data = load(made("dataset.h5"))
    images = torch.from_numpy(data.images).float() / 255
    paths, listings = [made(f"reference{r}.safetensors") for r in range(4)], [made("models0to3.sha256")]
    given = {"dataset": made("dataset.h5"), "inclusion": made("inclusion.h5"), "listings": listings}
    signals(**given, signal=parameters, stack=3, output=tmp_path / "signals.h5")
    with h5py.File(tmp_path / "signals.h5") as file:
        found, correct, included = (file[name][:] for name in ("signals", "correct", "included"))
    assert (included == load_inclusion(made("inclusion.h5"))).all()
    for r, path in enumerate(paths):
        logits = stacks.load([path], torch.device("cpu")).predict(images)[0].numpy()
        assert (correct[r] == (logits.argmax(axis=1) == data.labels)).mean() > 0.99
        np.testing.assert_allclose(found[r], rmia.signal(logits, data.labels, **parameters), rtol=1e-3, atol=1e-5)


def test_amun_is_given_the_adversarial_examples_of_its_own_original_and_forget_set(made):
    unlearner = Unlearner(**inputs(made), unlearning=unlearning())
    wanted = {(0, 0), (0, 1), (1, 1)}
    pool, adversarial = unlearner._pool(wanted)
    for original, which in wanted:
        rows = np.flatnonzero(unlearner.forget[which])
        _, image, label = load_adversarial(made(f"adversarial{original}.h5"), rows)
        samples = adversarial[original, which]
        assert torch.equal(pool[samples.index], torch.from_numpy(image))
        assert torch.equal(samples.label, torch.from_numpy(label))
        assert not samples.augment.any()
        assert (label != unlearner.data.labels[rows]).all()
        request = unlearner._request(original, which, pool, samples)
        assert torch.equal(request.model.weights, unlearner.originals.weights[[original]])


def test_transferred_adversarial_examples_are_those_of_the_other_originals_in_turn(made):
    unlearner = Unlearner(**inputs(made), unlearning=replace(unlearning(), transferred=True))
    choice = Choice(Schedule(0.1), {"include_forget": False})
    assert [unlearner.source_of(Run(o, 0, r, choice)) for o in range(2) for r in range(2)] == [1, 1, 0, 0]
    unlearner.originals = unlearner.originals[[0, 1, 0]]  # as if there were three
    assert [unlearner.source_of(Run(o, 0, r, choice)) for o in range(3) for r in range(3)] == [
        1,
        2,
        1,
        2,
        0,
        2,
        0,
        1,
        0,
    ]
    unlearner.originals = unlearner.originals[[0, 1]]
    (alone, _), *_ = unlearner.run([Run(0, 0, 0, choice)], size=1)
    itself = Unlearner(**inputs(made), unlearning=unlearning())
    itself.adversarial = itself.adversarial[::-1]  # the other's D_A, given as its own
    (expected, _), *_ = itself.run([Run(0, 0, 0, choice)], size=1)
    assert torch.equal(alone.weights, expected.weights)


@pytest.mark.parametrize(("remain", "expected"), [(True, 1), (False, 0)])
def test_a_method_sees_the_remain_set_only_with_access(made, remain, expected):
    unlearner = Unlearner(**inputs(made), unlearning=unlearning(remain=remain))
    pool, adversarial = unlearner._pool({(0, 0)})
    request = unlearner._request(0, 0, pool, adversarial[0, 0])
    data, chosen = unlearner.data, unlearner.forget[0]
    assert len(request.remain) == expected * (data.train & ~chosen).sum()
    assert set(request.forget.index.tolist()) == set(np.flatnonzero(chosen))
    seen = {*request.remain.index.tolist(), *request.forget.index.tolist()}
    assert not seen & set(np.flatnonzero(~data.train))


def test_unlearning_writes_every_run_and_its_numbers(made, tmp_path):
    chosen = tmp_path / "best.json"
    chosen.write_text(json.dumps({"learning_rate": 0.01, "step": None, "hyperparameters": {}}))
    options = {"tuned": chosen, "unlearning": unlearning("rl"), "runs": 2, "stack": 3}
    files = {"models": tmp_path / "u.safetensors", "outputs": tmp_path / "u.h5"}
    unlearn(**inputs(made, adversarial=False), **options, **files)
    with h5py.File(files["outputs"]) as file:
        numbers = list(zip(*(file[name][:].tolist() for name in ("set", "original", "run")), strict=True))
        assert numbers == list(itertools.product(range(2), range(2), range(2)))
        assert len(set(file["seed"][:].tolist())) == 8
        assert file["logits"].shape == (8, 1797, 10)
    models = stacks.load([files["models"]], torch.device("cpu"))
    assert models.size == 8
    assert len({tuple(w.tolist()) for w in models.weights[:, :50]}) == 8


@pytest.mark.parametrize(
    ("method", "options"), [("fisher", {"alpha": 1e-6}), ("influence", {"samples": 50}), ("eu_k", {})]
)
def test_a_repetition_has_draws_of_its_own_also_before_the_first_epoch(made, method, options):
    """At a rate of 0 nothing else tells them apart; the same run is the same whoever runs beside it."""
    choice = Choice(Schedule(0.0), options)
    unlearner = Unlearner(**inputs(made, adversarial=False), unlearning=unlearning(method))
    ((models, _),) = unlearner.run([Run(0, 0, r, choice) for r in range(3)], 3)
    assert len({tuple(weights.tolist()) for weights in models.weights}) == 3
    ((alone, _),) = unlearner.run([Run(0, 0, 2, choice)], 1)
    assert torch.equal(alone.weights[0], models.weights[2])


def tuned(made, where, grid, on, parts=2, racing=None, stack=32, retrained=None) -> tuple[pd.DataFrame, dict]:
    """The whole grid and the choice, by way of the parts."""
    judged = {"signals": made("signals.h5"), "signal": SIGNAL, "gamma": 2.0, "retrained": retrained or made("set2.h5")}
    files = [where / f"part{part}of{parts}.csv" for part in range(parts)]
    for part, output in enumerate(files):
        options = {"unlearning": unlearning(), "grid": grid, "on": on, "part": part, "parts": parts, "stack": stack}
        tune(**inputs(made), **judged, **options, racing=racing, output=output)
    choose(parts=files, grid=grid, on=on, racing=racing, whole=where / "grid.csv", best=where / "best.json")
    return pd.read_csv(where / "grid.csv"), json.loads((where / "best.json").read_text())


def test_tuning_keeps_the_whole_grid_and_takes_the_least_gap(made, tmp_path):
    grid, best = tuned(made, tmp_path, GRID, on=[0, 1])
    assert len(grid) == 2 * 2 * 2
    means = grid.groupby(["learning_rate", "include_forget"]).average_gap.mean()
    assert best["average_gap"] == pytest.approx(means.min(), abs=1e-5)
    assert (best["learning_rate"], best["hyperparameters"]["include_forget"]) == means.idxmin()
    assert best["step"] is None
    assert best["choices"] == 4
    # one row, by hand: the run's own metrics on the tuning set against those of the retrained models
    judge = load_judge(made("dataset.h5"), made("signals.h5"), SIGNAL, 2.0)
    unlearner = Unlearner(**inputs(made), unlearning=unlearning())
    run = Run(1, 2, 0, Choice(Schedule(0.01, None), {"include_forget": True}))
    ((model, _),) = unlearner.run([run], 1)
    columns = ["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc"]

    def measure(logits):
        found = judge.metrics(logits, judge.membership(logits), unlearner.forget[2])
        return np.array([found[name] for name in columns])

    with h5py.File(made("set2.h5")) as file:
        standard = np.mean([measure(logits) for logits in file["logits"][:]], axis=0)
    gap = average_gap(measure(model.predict(unlearner.images)[0].numpy()), standard)
    row = grid[(grid.learning_rate == 0.01) & grid.include_forget & (grid.original == 1)]
    assert row.average_gap.item() == pytest.approx(gap, abs=0.2)  # one sample of 90 may flip with the stack's size


def without_finite_outputs(path: Path, to: Path, models: slice) -> Path:
    shutil.copy(path, to)
    with h5py.File(to, "a") as file:
        file["logits"][models] = np.nan
    return to


def test_a_retrained_model_that_diverged_is_no_standard(made, tmp_path):
    one, none = (
        without_finite_outputs(made("set2.h5"), tmp_path / f"{name}.h5", models)
        for name, models in (("one", slice(1)), ("none", slice(None)))
    )
    assert tuned(made, tmp_path / "one", GRID, on=[0], retrained=one)[0].average_gap.notna().all()
    with pytest.raises(InputError, match=r"none\.h5: found models without finite outputs only, expected one"):
        tuned(made, tmp_path / "none", GRID, on=[0], retrained=none)


def test_choices_that_race_are_tried_as_in_the_full_grid_until_they_stop(made, tmp_path, monkeypatch):
    """In the other order of originals, too; and an interruption on the second one costs what was trained on that."""
    whole, _ = tuned(made, tmp_path / "whole", GRID, on=[1, 0], parts=1, stack=1)
    trained = []

    def once(self, runs, size, partial=None):
        trained.append((partial.name, len(runs)))
        if len(trained) == 2:
            raise KeyboardInterrupt
        yield from run(self, runs, size, partial)

    run = Unlearner.run
    monkeypatch.setattr(Unlearner, "run", once)
    monkeypatch.setattr(checkpoint, "SECONDS_WORTH", 0.0)
    with pytest.raises(KeyboardInterrupt):
        tuned(made, tmp_path, GRID, on=[1, 0], parts=1, racing=0.5, stack=1)
    kept = sorted((tmp_path / ".part0of1.csv.partial" / "original1").iterdir())
    assert len(kept) == 4
    raced, best = tuned(made, tmp_path, GRID, on=[1, 0], parts=1, racing=0.5, stack=1)
    assert trained == [("original1", 4), ("original0", 2)] * 2
    names = ["learning_rate", "step", "include_forget", "original"]
    both = raced.merge(whole, on=names, suffixes=("", "_whole"))
    assert len(both) == len(raced) == 4 + 2
    for name in ("unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "average_gap"):
        assert both[name].tolist() == both[f"{name}_whole"].tolist()
    first = whole[whole.original == 1].sort_values("average_gap", kind="stable")
    stopped = raced[raced.stopped_after.notna()]
    assert stopped.stopped_after.tolist() == [1, 1]
    assert set(stopped.average_gap) == set(first.average_gap[2:])
    went = raced[raced.stopped_after.isna()].groupby(["learning_rate", "include_forget"]).average_gap.mean()
    assert best["average_gap"] == pytest.approx(went.min(), abs=1e-5)
    assert (best["learning_rate"], best["hyperparameters"]["include_forget"]) == went.idxmin()


def test_a_part_of_a_grid_does_not_race(made, tmp_path):
    with pytest.raises(ValueError, match="--racing: found a grid in 2 parts, expected one"):
        tuned(made, tmp_path, GRID, on=[0, 1], racing=0.5)


def test_a_grid_that_diverges_everywhere_is_reported_not_raised(made, tmp_path):
    grid, best = tuned(made, tmp_path, GRID | {"learning_rate": [1e30], "include_forget": [True]}, on=[0], parts=1)
    assert best["average_gap"] is None
    assert grid.average_gap.isna().all()


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 12])
def test_the_parts_of_a_grid_are_the_grid(parts):
    grid = {"step": [None, 1, 5], "learning_rate": [0.1, 0.01], "mask_ratio": [0.1, 0.9]}
    together = [choice for part in range(parts) for choice in part_of(grid, part, parts)]
    assert together == choices(grid)
    assert len({json.dumps(choice) for choice in together}) == 12


@pytest.mark.parametrize("limit", [1, 5, 11, 12, 50])
def test_of_a_large_grid_as_many_choices_as_allowed_are_tried(limit):
    """The same ones each time, in the grid's order, and those of its parts."""
    grid = {"step": [None, 1, 5], "learning_rate": [0.1, 0.01], "mask_ratio": [0.1, 0.9]}
    whole, drawn = choices(grid), choices(grid, limit)
    assert len(drawn) == min(limit, 12)
    assert [whole.index(choice) for choice in drawn] == sorted({whole.index(choice) for choice in drawn})
    assert drawn == choices(grid, limit)
    assert [choice for part in range(3) for choice in part_of(grid, part, 3, limit)] == drawn
    other = choices(grid | {"step": [None, 1, 4]}, limit)
    assert limit in (12, 50) or [whole.index(c) for c in drawn] != [
        choices(grid | {"step": [None, 1, 4]}).index(c) for c in other
    ]


def test_parts_that_are_not_the_whole_grid_are_an_error(made, tmp_path):
    tuned(made, tmp_path, GRID, on=[0])
    with pytest.raises(ValueError, match="found 2 trials in 1 parts, expected 4 of 4 choices on 1 originals"):
        choose(parts=[tmp_path / "part0of2.csv"], grid=GRID, on=[0], whole=tmp_path / "g", best=tmp_path / "b")


def scored(made, tmp_path, *outputs) -> pd.DataFrame:
    names = Names("digits", "digits", "small_resnet", "some", "", "random10", "0123456789ab")
    options = {"signals": made("signals.h5"), "signal": SIGNAL, "gamma": 2.0, "seed": 0, "names": names}
    files = {"scores": tmp_path / "scores.h5", "runs": tmp_path / "runs.csv"}
    score(dataset=made("dataset.h5"), forget=made("forget.h5"), outputs=list(outputs), **options, **files)
    return pd.read_csv(files["runs"])


def test_scores_are_of_the_right_model_and_forget_set(made, tmp_path):
    """Retrained models on the set that they never saw; originals on every reported set; all columns, in order."""
    data = load(made("dataset.h5"))
    sets = load_forget(made("forget.h5"), data.train)
    runs = scored(made, tmp_path, made("set0.h5"), made("set1.h5"))
    assert tuple(runs.columns) == COLUMNS
    assert runs[["set", "run"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    with h5py.File(made("set1.h5")) as file:
        logits = file["logits"][1]
    right = logits.argmax(axis=1) == data.labels
    assert runs.unlearn_accuracy[3] == pytest.approx(100 * right[sets[1]].mean(), abs=1e-5)
    assert runs.retain_accuracy[3] == pytest.approx(100 * right[data.train & ~sets[1]].mean(), abs=1e-5)
    assert runs.test_accuracy[3] == pytest.approx(100 * right[~data.train].mean(), abs=1e-5)
    with h5py.File(tmp_path / "scores.h5") as file:
        assert file["rmia"].shape == (4, 1797)
        assert file["rmia"][:].max() <= 1
    both = scored(made, tmp_path, made("originals.h5"))
    assert both[["original", "set"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert not both.diverged.any()


def test_a_retrained_model_judged_on_permuted_membership_gives_50(made):
    """Neither D_F nor D_T was seen: which of these samples is called which tells an attack nothing.

    The mean AUC over random exchanges of the two is 50 within three of its standard errors, while D_R is told apart.
    """
    data = load(made("dataset.h5"))
    forget = load_forget(made("forget.h5"), data.train)[0]
    judge = load_judge(made("dataset.h5"), made("signals.h5"), SIGNAL, 2.0)
    with h5py.File(made("set0.h5")) as file:
        logits = file["logits"][0]
    membership = judge.membership(logits)
    unseen, generator, found = np.flatnonzero(forget | ~data.train), np.random.default_rng(0), []
    for _ in range(100):
        train, chosen = data.train & ~forget, np.zeros_like(forget)
        chosen[generator.choice(unseen, forget.sum(), replace=False)] = True
        found.append(replace(judge, train=train | chosen).metrics(logits, membership, chosen)["ft_auc"])
    assert len(set(found)) > 90
    assert abs(np.mean(found) - 50) < 3 * np.std(found, ddof=1) / np.sqrt(len(found))
    assert judge.metrics(logits, membership, forget)["rt_auc"] > 55
