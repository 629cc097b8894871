"""Which samples each kind of model is trained on, and by which objective, read off from what the steps write.

With a learning rate of 0 a model's training loss is its mean cross entropy over exactly the samples that it was shown;
a reference model writes no loss, so it takes one step down the gradient over all of its samples.
"""

import h5py
import numpy as np
import pytest
import torch
import toy
from torch.nn import functional as F

from amun_steps.steps.train import Training, originals, references, retrained
from amun_steps.store.arrays import write_arrays
from amun_steps.store.seeds import seed_of
from amun_steps.training import stack as stacks
from amun_steps.training.clipping import Clipping, spectral_norms
from amun_steps.training.recipe import Schedule
from amun_steps.training.stack import build, initialise
from amun_steps.training.trades import Trades

NETWORK = {key: value for key, value in toy.STEADY.items() if key not in ("shape", "classes")}
STILL = Training(NETWORK, toy.recipe(epochs=1, batch_size=16), Schedule(0.0), seed=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toy.files(tmp_path_factory.mktemp("toy"), sets=3)


def cross_entropy(logits: np.ndarray, labels: np.ndarray, chosen: np.ndarray) -> float:
    """The mean over the samples `chosen` (N,) bool."""
    logits = logits[chosen].astype(np.float64)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), labels[chosen]])


def trained(step, where, training=STILL, **options) -> tuple[np.ndarray, np.ndarray, dict]:
    """(models, N, classes) logits, (models, epochs) losses and the numbers that a step writes."""
    step(training=training, **options, models=where / "m.safetensors", outputs=where / "o.h5")
    with h5py.File(where / "o.h5") as file:
        numbers = {name: file[name][:].tolist() for name in ("original", "set", "run")}
        return file["logits"][:], file["training_loss"][:], numbers


def test_originals_are_trained_on_all_of_d(made, tmp_path):
    files, data = made
    logits, losses, numbers = trained(originals, tmp_path, dataset=files["dataset"], count=2)
    assert numbers == {"original": [0, 1], "set": [-1, -1], "run": [-1, -1]}
    expected = [cross_entropy(each, data.labels, data.train) for each in logits]
    assert losses[:, 0] == pytest.approx(expected, rel=3e-6)
    assert expected[0] != pytest.approx(expected[1], rel=3e-6)
    assert cross_entropy(logits[0], data.labels, data.train | True) != pytest.approx(expected[0], rel=2e-5)


def test_accuracies_are_told_as_soon_as_models_are_trained(made, tmp_path, caplog):
    """Long before a score; of samples that they learned, and that they did not, apart."""
    caplog.set_level("INFO", "amun_steps")
    files, data = made
    learning = Training(NETWORK, toy.recipe(epochs=3, batch_size=4), Schedule(0.1), seed=0)
    for step, options in ((originals, {}), (retrained, {"forget": files["forget"], "forget_name": "random", "set": 1})):
        logits, _, _ = trained(step, tmp_path, learning, dataset=files["dataset"], count=2, **options)
        right = (logits.argmax(axis=2) == data.labels).astype(float)
        with h5py.File(files["forget"]) as file:
            forgotten = file["forget"][1]
        train, unlearn, retain, test = (
            f"{100 * right[:, part].mean():.2f}" for part in (data.train, forgotten, data.train & ~forgotten, data.test)
        )
        said = f"Train Acc {train}, Test Acc {test}"
        if options:
            said = f"Unlearn Acc {unlearn}, Retain Acc {retain}, Test Acc {test}"
        assert f": {said} (mean of 2)" in caplog.messages[-2]
        assert len({unlearn, retain, test}) == 3


@pytest.mark.parametrize("which", [0, 1, 2])
def test_retrained_models_are_trained_on_d_without_their_own_forget_set(made, tmp_path, which):
    files, data = made
    options = {"dataset": files["dataset"], "forget": files["forget"], "forget_name": "random", "set": which}
    logits, losses, numbers = trained(retrained, tmp_path, **options, count=2)
    assert numbers == {"original": [-1, -1], "set": [which, which], "run": [0, 1]}
    with h5py.File(files["forget"]) as file:
        sets = file["forget"][:]

    def losses_on(chosen):
        return pytest.approx([cross_entropy(each, data.labels, chosen) for each in logits], rel=3e-6)

    assert losses[:, 0] == losses_on(data.train & ~sets[which])
    for other in (data.train, *(data.train & ~sets[k] for k in range(3) if k != which)):
        assert losses[:, 0] != losses_on(other)


def test_a_reference_model_is_trained_on_its_row_of_training_and_test_samples(made, tmp_path):
    """One step of gradient descent over everything, from the initialisation that its number seeds."""
    files, data = made
    matrix = np.random.default_rng(0).random((4, 120)) < 0.5
    write_arrays(tmp_path / "inclusion.h5", {"inclusion": matrix})
    plan = toy.recipe(epochs=1, batch_size=120, momentum=0.0, weight_decay=0.0)
    paths = [tmp_path / f"{r}.safetensors" for r in (3, 1)]
    training = Training(NETWORK, plan, Schedule(0.5), seed=0)
    options = {"inclusion": tmp_path / "inclusion.h5", "members": [3, 1], "stack": 1}
    references(dataset=files["dataset"], **options, training=training, models=paths)
    for r, path in zip((3, 1), paths, strict=True):
        start = initialise(toy.STEADY, [seed_of(0, "reference", r, "initialisation")], toy.CPU)
        module = build(toy.STEADY)
        torch.nn.utils.vector_to_parameters(start.weights[0], module.parameters())
        logits = module(toy.pool(data)[matrix[r]])
        F.cross_entropy(logits, torch.from_numpy(data.labels[matrix[r]])).backward()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        found = stacks.load([path], toy.CPU).weights[0]
        torch.testing.assert_close(found, start.weights[0] - 0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_trades_is_in_the_loss_by_its_beta(made, tmp_path):
    files, _ = made
    losses = []
    for beta in (0.0, 100.0, 300.0):
        trades = Trades(beta, epsilon=0.2, steps=2, step_size=0.1)
        training = Training(NETWORK, STILL.recipe, STILL.schedule, seed=0, trades=trades)
        losses.append(trained(originals, tmp_path, training, dataset=files["dataset"], count=1)[1].item())
    plain = trained(originals, tmp_path, dataset=files["dataset"], count=1)[1].item()
    assert losses[0] == pytest.approx(plain, rel=3e-6)
    assert losses[1] > plain + 1e-3
    assert losses[2] - plain == pytest.approx(3 * (losses[1] - plain), rel=1e-2)


def test_clipped_models_are_clipped(made, tmp_path):
    files, _ = made
    norms = []
    for clipping in (None, Clipping(0.9, 3)):
        training = Training(NETWORK, STILL.recipe, Schedule(0.05), seed=0, clipping=clipping)
        trained(originals, tmp_path, training, dataset=files["dataset"], count=1)
        norms.append(spectral_norms(stacks.load([tmp_path / "m.safetensors"], toy.CPU)))
    assert max(norm.item() for norm in norms[0].values()) > 1
    assert all(norm.item() < 0.92 for norm in norms[1].values())
