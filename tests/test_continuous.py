"""Requests one after the other: what each is given, and what its model is judged against, on small real data."""

import sys
from types import ModuleType

import literal
import numpy as np
import pandas as pd
import pytest
import torch
import toy

from amun_steps.attacks import AdversarialSet
from amun_steps.methods import Update
from amun_steps.steps.adversarial import Attack, Search
from amun_steps.steps.continuous import continuous, remaining
from amun_steps.steps.unlearn import Unlearning
from amun_steps.store.arrays import write_arrays
from amun_steps.training import stack as stacks

SIGNAL = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
CRITERIA = ["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "fr_auc", "rt_auc"]


def test_what_was_forgotten_never_comes_back_into_the_remain_set():
    train = np.array([True, True, True, True, False])
    sequence = np.zeros((3, 5), dtype=bool)
    sequence[0, 1] = sequence[1, 3] = sequence[2, 0] = True
    found = [np.flatnonzero(remaining(train, sequence, k)).tolist() for k in range(3)]
    assert found == [[0, 2, 3], [0, 2], [2]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files, the data, two sequences of three disjoint requests of 8 samples, and the references' signals."""
    where = tmp_path_factory.mktemp("toy")
    files, data = toy.files(where, sets=1)
    generator = np.random.default_rng(3)
    asked = np.zeros((2, 3, 120), dtype=bool)
    for sequence in asked:
        np.put_along_axis(sequence, generator.choice(70, 24, replace=False).reshape(3, 8), True, axis=1)
    signals = generator.uniform(0.1, 0.9, (4, 120))
    write_arrays(where / "requests.h5", {"requests": asked})
    write_arrays(where / "signals.h5", {"signals": signals})
    (where / "best.json").write_text('{"learning_rate": 0.0, "step": null, "hyperparameters": {}}')
    (where / "moving.json").write_text('{"learning_rate": 0.05, "step": null, "hyperparameters": {}}')
    return where, files, data, asked, signals


@pytest.fixture
def asked_of(monkeypatch):
    """All requests that a method is given, in order: a method of one's own, which writes down what it is asked."""
    seen = []

    def unlearn(request) -> Update:
        seen.append(request)
        return Update(lambda *_: [request.remain + request.forget])

    module = ModuleType("amun_steps.methods.written_down")
    module.unlearn = unlearn
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def run(made, where, *, remain=True, tuned="best.json", gamma=2.0, runs=1, **options) -> pd.DataFrame:
    folder, files, *_ = made
    continuous(
        **{name: files[name] for name in ("dataset", "originals", "adversarial")},
        requests=folder / "requests.h5",
        requests_name="three",
        tuned=folder / tuned,
        signals=folder / "signals.h5",
        signal=SIGNAL,
        gamma=gamma,
        unlearning=Unlearning("written_down", remain, toy.recipe(epochs=1), seed=0),
        runs=runs,
        **options,
        output=where / "requests.csv",
    )
    return pd.read_csv(where / "requests.csv")


@pytest.mark.parametrize("remain", [True, False])
def test_each_request_is_given_what_is_left_and_the_original_s_adversarial_examples(made, asked_of, tmp_path, remain):
    _, _, data, asked, _ = made
    rows = run(made, tmp_path, remain=remain)
    order = [(s, o) for s in range(2) for o in range(2)]
    assert rows[["set", "original"]].to_numpy()[:4].tolist() == [list(pair) for pair in order]
    for n, request in enumerate(asked_of):
        k, (s, o) = n // 4, order[n % 4]
        forgotten = [set(np.flatnonzero(each)) for each in asked[s]]
        left = set(range(70)) - set().union(*forgotten[: k + 1]) if remain else set()
        assert set(request.remain.index.tolist()) == left
        assert set(request.forget.index.tolist()) == forgotten[k]
        assert torch.equal(request.forget.label, torch.from_numpy(data.labels[request.forget.index]))
        # see `toy.files`: on the samples themselves, with a label that tells the originals apart
        assert torch.equal(request.images[request.adversarial.index], toy.pool(data)[asked[s, k]])
        assert request.adversarial.label.tolist() == ((data.labels[asked[s, k]] + 1 + o) % 10).tolist()
        assert not request.adversarial.augment.any()
        assert request.remain.augment.all()
        assert request.forget.augment.all()


@pytest.mark.parametrize("remain", [True, False])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_a_model_is_judged_on_the_newest_request_against_what_is_left(made, asked_of, tmp_path, remain, gamma):
    """With a learning rate of 0 every model is the original; without access to D_R it is judged by it all the same."""
    _, files, data, asked, signals = made
    rows = run(made, tmp_path, remain=remain, gamma=gamma)
    logits = stacks.load([files["originals"]], toy.CPU).predict(toy.pool(data)).numpy()
    assert len(rows) == 12
    for _, row in rows.iterrows():
        k, o, sequence = row.request - 1, row.original, asked[row.set]
        left = np.array([n < 70 and not sequence[: k + 1, n].any() for n in range(120)])
        membership = literal.rmia(literal.signals(logits[o], data.labels), signals, gamma)
        expected = literal.judged(logits[o], data.labels, membership, left, sequence[k], ~data.train)
        assert row[CRITERIA].astype(float).tolist() == pytest.approx([expected[name] for name in CRITERIA], abs=1e-5)


def test_the_next_request_begins_where_the_last_one_ended(made, asked_of, tmp_path):
    run(made, tmp_path, tuned="moving.json", stack=2, runs=2)
    first = stacks.load([made[1]["originals"]], toy.CPU)
    for start in range(0, len(asked_of), 6):  # two models side by side, three requests each
        for m in range(2):
            steps = [asked_of[start + 2 * k + m].model.weights[0] for k in range(3)]
            assert any(torch.equal(steps[0], weights) for weights in first.weights)
            assert len({tuple(weights[:20].tolist()) for weights in steps}) == 3
    assert len(asked_of) == 2 * 2 * 2 * 3


def test_an_adaptive_request_s_adversarial_examples_are_those_of_the_model_as_it_is_now(
    made, asked_of, tmp_path, monkeypatch
):
    """An attack that leaves the images and gives the labels that the model gives tells which model it was given."""
    given = []

    def attack(forward, images, labels, epsilon_init, seeds) -> AdversarialSet:
        given.append(epsilon_init)
        with torch.no_grad():
            label = forward(images).argmax(dim=1)
        nothing = torch.zeros(len(images))
        return AdversarialSet(images, label, nothing, nothing, nothing)

    module = ModuleType("amun_steps.attacks.looking")
    module.attack = attack
    monkeypatch.setitem(sys.modules, module.__name__, module)
    run(made, tmp_path, tuned="moving.json", attack=Attack("looking", {}, Search(1, 0.1, 1.0)))
    assert given == [0.1] * 12  # that of the original's own search
    _, files, data, *_ = made
    first = stacks.load([files["originals"]], toy.CPU)
    changed = 0
    for n, request in enumerate(asked_of):
        rows = request.forget.index
        now = request.model.predict(toy.pool(data)[rows])[0].argmax(dim=1)
        assert torch.equal(request.adversarial.label, now)
        changed += (first.predict(toy.pool(data)[rows])[n % 2].argmax(dim=1) != now).sum()
    assert changed > 0
