"""U-LiRA: by its formula, on Gaussians, and its shadows against the steps that unlearn and attack an original."""

import math
from pathlib import Path

import h5py
import literal_judges
import numpy as np
import pytest
import torch
import toy
from scipy.stats import norm

from amun_steps.judging import u_lira
from amun_steps.judging.metrics import auc
from amun_steps.steps.adversarial import Attack, Search, load_adversarial
from amun_steps.steps.shadows import Shadows, shadows
from amun_steps.steps.unlearn import Unlearning, unlearn
from amun_steps.store.addresses import canonical
from amun_steps.store.arrays import write_arrays
from amun_steps.store.listing import write_listing
from amun_steps.training import stack as stacks

COUNT, SETS = 6, 2
ATTACK = Attack("pgd", {"steps": 20, "relative_step": 0.1}, Search(20, 0.01, 0.95))


@pytest.mark.parametrize("models", [20, 140])
def test_u_lira_is_the_share_of_the_density_of_models_that_forgot(models):
    """A third of the shadows forgot a sample, a third saw and kept it, a third never saw it."""
    generator = np.random.default_rng(0)
    kind = generator.random((models, 8)).argsort(axis=0) % 3
    said = generator.normal(0, 1 + kind)
    target = generator.normal(0, 2, (2, 8))
    groups = [[said[kind[:, n] == k, n].tolist() for k in (0, 2)] for n in range(8)]
    pooled = np.mean([(x - np.mean(values)) ** 2 for both in groups for values in both for x in values])
    few = min(len(values) for both in groups for values in both) < 32
    assert few == (models == 20)
    expected = [
        [
            literal_judges.u_lira(of[n], *groups[n], (pooled, pooled) if few else tuple(map(np.var, groups[n])))
            for n in range(8)
        ]
        for of in target
    ]
    np.testing.assert_allclose(u_lira.scores(target, said, kind == 0, kind < 2), expected)


@pytest.mark.parametrize("left", [0.0, 1.0])
def test_on_gaussian_models_u_lira_finds_what_unlearning_left(left):
    """Models that forgot a sample have log odds by `left` above those that never saw it, for which U-LiRA's AUC is
    Phi(left / sqrt(2)); the shadows that keep it are far away and tell nothing."""
    generator, count = np.random.default_rng(0), 4000
    hardness, kind = generator.normal(2, 3, count), generator.random((600, count)).argsort(axis=0) % 3
    said = hardness + np.array([left, 5.0, 0.0])[kind] + generator.normal(0, 1, (600, count))
    forgot, never = (hardness + shift + generator.normal(0, 1, count) for shift in (left, 0.0))
    found = [u_lira.scores(target, said, kind == 0, kind < 2) for target in (forgot, never)]
    assert auc(*found) == pytest.approx(100 * norm.cdf(left / math.sqrt(2)), abs=2)


def test_scores_far_from_both_are_shares_and_no_warnings():
    said, kind = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([[0], [0], [2], [2]])
    found = u_lira.scores(np.array([[-500.0], [500.0]]), said, kind == 0, kind < 2)
    assert found.ravel().tolist() == [1, 0]


# ---- the step --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The toy data, six reference models with the half of train + test that each was trained on, and a choice."""
    where = tmp_path_factory.mktemp("shadows")
    files, data = toy.files(where, sets=SETS + 1, count=COUNT)
    trained = np.random.default_rng(0).random((COUNT, len(data.labels))).argsort(axis=0) < COUNT // 2
    write_arrays(where / "inclusion.h5", {"inclusion": trained})
    models = stacks.load([files["originals"]], toy.CPU)
    paths = [where / f"reference{r}.safetensors" for r in range(COUNT)]
    for r, path in enumerate(paths):
        stacks.save(models[[r]], path)
    listings = [where / "models0to1.sha256", where / "models2to5.sha256"]
    write_listing(listings[0], paths[:2])
    write_listing(listings[1], paths[2:])
    with h5py.File(files["forget"]) as file:
        sets = file["forget"][:]
    return where, files, data, trained, sets, paths, listings


def choice(where: Path, rate: float, **hyperparameters) -> Path:
    path = where / f"best{rate}.json"
    path.write_text(canonical({"learning_rate": rate, "step": None, "hyperparameters": hyperparameters}))
    return path


def options(made, tmp_path, rate: float, method: str, **more) -> dict:
    where, files, _, _, _, _, listings = made
    hyperparameters = {"include_forget": True} if method == "amun" else {}
    recipe = toy.recipe(epochs=2, batch_size=1000)  # one batch, so that no order matters
    return {
        "dataset": files["dataset"],
        "inclusion": where / "inclusion.h5",
        "listings": listings,
        "originals": files["originals"],
        "forget": files["forget"],
        "forget_name": "random",
        "tuned": choice(tmp_path, rate, **hyperparameters),
        "unlearning": Unlearning(method, True, recipe, seed=0),
        "output": tmp_path / "shadows.h5",
    } | more


def read(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: array[:] for name, array in file.items()}


def test_each_shadow_forgets_what_of_its_set_was_in_its_half(made, tmp_path):
    """With a learning rate of 0 shadows are the reference models."""
    _, _, data, trained, sets, paths, _ = made
    shadows(**options(made, tmp_path, 0.0, "ft"), stack=4)
    found = read(tmp_path / "shadows.h5")
    assert found["set"].tolist() == [0, 1, 0, 1, 0, 1]
    for r, path in enumerate(paths):
        assert (found["seen"][r] == trained[r]).all()
        assert (found["forgotten"][r] == (trained[r] & sets[r % 2])).all()
        logits = stacks.load([path], toy.CPU).predict(toy.pool(data))[0].numpy()
        np.testing.assert_allclose(
            found["log_odds"][r], literal_judges.log_odds(logits, data.labels), rtol=1e-3, atol=1e-3
        )


def unlearned(made, tmp_path, r: int, given: dict, adversarial: list[Path]) -> np.ndarray:
    """(N,) log odds of a reference model after `unlearn` has it forget, as the one original of a data set of which its
    own half is for training."""
    _, _, data, trained, sets, paths, _ = made
    write_arrays(
        tmp_path / "half.h5", {"images": data.images, "labels": data.labels.astype(np.int16), "train": trained[r]}
    )
    part = sets[r % 2] & trained[r]
    write_arrays(tmp_path / "part.h5", {"forget": np.array([part, part])})
    unlearn(
        dataset=tmp_path / "half.h5",
        originals=paths[r],
        forget=tmp_path / "part.h5",
        forget_name="random",
        adversarial=adversarial,
        tuned=given["tuned"],
        unlearning=given["unlearning"],
        runs=1,
        models=tmp_path / "unlearned.safetensors",
        outputs=tmp_path / "unlearned.h5",
    )
    return literal_judges.log_odds(read(tmp_path / "unlearned.h5")["logits"][0], data.labels)


@pytest.mark.parametrize("stack", [1, 4])
def test_a_shadow_is_what_unlearning_makes_of_the_reference_model(made, tmp_path, stack):
    given = options(made, tmp_path, 0.02, "ft")
    shadows(**given, stack=stack)
    found = read(tmp_path / "shadows.h5")["log_odds"]
    for r in range(COUNT):
        np.testing.assert_allclose(found[r], unlearned(made, tmp_path, r, given, []), rtol=1e-3, atol=2e-3)


def test_amun_s_shadows_are_fine_tuned_on_adversarial_examples_of_their_own(made, tmp_path):
    _, files, data, trained, sets, paths, _ = made
    given = options(made, tmp_path, 0.02, "amun", adversarial=files["adversarial"])
    shadows(**given, attack=ATTACK, stack=4)
    found = read(tmp_path / "shadows.h5")["log_odds"]
    order = ("dataset", "originals", "forget", "forget_name", "adversarial", "unlearning")
    of_models = Shadows(*(given[name] for name in order), models=paths, trained=trained)
    for r, path in enumerate(paths):
        of_models.attack(r, 0.1, ATTACK, tmp_path / "own.h5")
        model = stacks.load([path], toy.CPU)
        samples, images, labels = load_adversarial(tmp_path / "own.h5", np.flatnonzero(sets[r % 2] & trained[r]))
        assert len(samples) > 0
        assert (model.logits(torch.from_numpy(images)[None])[0].argmax(dim=1).numpy() == labels).all()
        assert (labels != data.labels[samples]).all()
        given_d_a = unlearned(made, tmp_path, r, given, [tmp_path / "own.h5"])
        np.testing.assert_allclose(found[r], given_d_a, rtol=1e-2, atol=1e-2)


def test_without_an_attack_shadows_take_the_originals_adversarial_examples_in_turn(made, tmp_path):
    _, files, *_ = made
    given = options(made, tmp_path, 0.02, "amun", adversarial=files["adversarial"][:4])
    shadows(**given)
    found = read(tmp_path / "shadows.h5")["log_odds"]
    for r in (0, 5):
        expected = unlearned_with_the_originals(made, tmp_path, r, given, files["adversarial"][r % 4])
        np.testing.assert_allclose(found[r], expected, rtol=1e-3, atol=2e-3)


def unlearned_with_the_originals(made, tmp_path, r, given, path):
    """As `unlearned`, of an original's file, whose rows are the training samples: those of the half are taken out."""
    _, _, _, trained, sets, _, _ = made
    samples = np.flatnonzero(sets[r % 2] & trained[r])
    _, image, label = load_adversarial(path, samples)
    arrays = {"image": image, "label": label, "distance": np.zeros(len(label)), "sample": samples}
    write_arrays(tmp_path / "taken.h5", arrays)
    return unlearned(made, tmp_path, r, given, [tmp_path / "taken.h5"])


def test_where_half_of_the_references_chose_the_others_are_the_shadows(made, tmp_path):
    _, _, _, trained, sets, _, _ = made
    shadows(**options(made, tmp_path, 0.0, "ft"), judges="half")
    found = read(tmp_path / "shadows.h5")
    assert (found["seen"] == trained[3:]).all()
    assert (found["forgotten"] == trained[3:] & sets[[0, 1, 0]]).all()
