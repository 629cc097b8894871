"""Algorithm 1 and the attack in it, against their definitions."""

import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from toy import images

from amun_steps.attacks import AdversarialSet, log_odds_against, pgd
from amun_steps.steps.adversarial import (
    Attack,
    Search,
    adversarial,
    build_adversarial_set,
    choose_epsilon_init,
    load_adversarial,
    radii,
)
from amun_steps.steps.forget import load_forget
from amun_steps.store.arrays import write_arrays
from amun_steps.training import stack as stacks

FFGSM = Attack("ffgsm", {"rounds": 3, "noise": 0.1}, Search(100, 0.02, 0.95))
PGD50 = Attack("pgd", {"steps": 50, "relative_step": 0.1, "restart": True}, Search(100, 0.001, 0.95))
ONWARDS = replace(PGD50, parameters=PGD50.parameters | {"restart": False})
DDN = Attack("ddn", {"steps": 20, "gamma": 0.05}, Search(100, 1.0, 0.5))
SEEDS = range(1000)


def classifier(seed: int, dtype=torch.float32):
    """A random network with one hidden layer, whose predictions differ between random images."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(64, 64, generator=generator, dtype=dtype) / 8
    weight = torch.randn(64, 10, generator=generator, dtype=dtype)
    return lambda x: torch.tanh((x.flatten(1) - 0.5) @ hidden) @ weight


def task(seed: int, n: int = 24):
    """A classifier, images, and labels: its own predictions but for three samples that it gets wrong."""
    forward = classifier(seed)
    x, _ = images(n, seed)
    with torch.no_grad():
        y = forward(x).argmax(dim=1)
    y[:3] = (y[:3] + 1) % 10
    return forward, x, y


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    epsilon_init=st.sampled_from([0.003, 0.02, 0.3]),
    attack=st.sampled_from([PGD50, ONWARDS]),
)
def test_algorithm_1_meets_its_definition(seed, epsilon_init, attack):
    forward, x, y = task(seed)
    found = build_adversarial_set(forward, x, y, epsilon_init, attack, SEEDS)
    with torch.no_grad():
        predicted = forward(found.image).argmax(dim=1)
    assert (predicted != y).all()
    assert torch.equal(found.label, predicted)
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    assert (found.distance <= found.epsilon * (1 + 1e-5) + 1e-6).all()  # pixels near 1 are rounded by 6e-8
    torch.testing.assert_close(found.distance, (found.image - x).flatten(1).norm(dim=1))
    rung = torch.log2(found.epsilon / epsilon_init)
    torch.testing.assert_close(rung, rung.round())  # on the doubling ladder
    assert (rung >= 0).all()
    # a sample that the model gets wrong is its own adversarial example, for free
    assert (found.distance[:3] == 0).all()
    assert (found.passes[:3] == 0).all()
    # each failed round took all 50 steps, the last one at least one
    rounds = rung.round()
    assert (found.passes[3:] > 50 * rounds[3:]).all()
    assert (found.passes <= 50 * (rounds + 1)).all()


def literal_pgd(forward, x, y, epsilon, steps, relative_step):
    """The rule of methods.md, one sample, in float64, with the cross entropy's own gradient."""
    current = x.clone()
    for iteration in range(steps + 1):
        current.requires_grad_()
        logits = forward(current)
        if logits.argmax(dim=1).item() != y.item():
            return current.detach(), True, iteration
        if iteration == steps:
            return current.detach(), False, iteration
        (g,) = torch.autograd.grad(F.cross_entropy(logits, y), current)
        moved = current.detach() + relative_step * epsilon * g / (g.norm() + 1e-10)
        offset = moved - x
        if offset.norm() > epsilon:
            offset = offset * epsilon / offset.norm()
        current = (x + offset).clamp(0, 1)


def test_pgd_is_the_rule_sample_by_sample():
    forward = classifier(0, torch.float64)
    x = images(30)[0].double()
    y = forward(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 10
    epsilon = torch.linspace(0.02, 0.8, 30, dtype=torch.float64)
    found = pgd.in_ball(forward, x, y, epsilon, x, steps=20, relative_step=0.1)
    assert 3 < found.found.sum() < 27  # both outcomes are there to be compared
    for n in range(30):
        image, success, passes = literal_pgd(forward, x[n : n + 1], y[n : n + 1], epsilon[n], 20, 0.1)
        torch.testing.assert_close(found.image[n : n + 1], image, rtol=1e-6, atol=1e-8)
        assert found.found[n].item() == success
        assert found.passes[n].item() == passes


def test_the_gradient_survives_where_a_confident_model_s_cross_entropy_has_none():
    logits = torch.tensor([[400.0, 0.0, 1.0]], requires_grad=True)
    label = torch.tensor([0])
    (vanished,) = torch.autograd.grad(F.cross_entropy(logits, label), logits)
    assert (vanished == 0).all()
    (gradient,) = torch.autograd.grad(log_odds_against(logits, label).sum(), logits)
    share = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 1 - share, share]]))


@given(st.lists(st.floats(-8, 8), min_size=4, max_size=4), st.integers(0, 3))
def test_its_direction_is_the_cross_entropy_s(values, y):
    logits = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([y])
    (ours,) = torch.autograd.grad(log_odds_against(logits, label).sum(), logits)
    (theirs,) = torch.autograd.grad(F.cross_entropy(logits, label), logits)
    torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm())


def test_epsilon_init_is_the_least_rung_that_is_enough_for_the_share():
    forward, x, y = task(3, n=40)
    rungs = build_adversarial_set(forward, x, y, 0.001, PGD50, SEEDS).epsilon
    chosen = choose_epsilon_init(forward, x, y, PGD50, SEEDS)
    assert (rungs <= chosen).double().mean() >= 0.95
    assert (rungs <= chosen / 2).double().mean() < 0.95


def test_where_half_of_the_samples_are_misclassified_the_search_s_start_is_taken():
    """DDN takes such samples at a norm of 0, from which it would never come away."""
    forward, x, y = task(3, n=20)
    search = Search(20, 0.5, 0.1)
    assert choose_epsilon_init(forward, x, y, replace(DDN, search=search), SEEDS) == 0.5
    assert choose_epsilon_init(forward, x, y, replace(DDN, search=replace(search, share=0.5)), SEEDS) != 0.5


@pytest.mark.parametrize("attack", [PGD50, FFGSM])
def test_many_samples_are_attacked_as_many_at_a_time_as_their_size_allows(attack, monkeypatch):
    forward, x, y = task(3, n=40)
    whole, sizes = build_adversarial_set(forward, x, y, 0.02, attack, SEEDS), []
    monkeypatch.setattr("amun_steps.steps.adversarial.at_once", lambda _: 16)
    counted = build_adversarial_set(lambda x: sizes.append(len(x)) or forward(x), x, y, 0.02, attack, SEEDS)
    assert max(sizes) == 16
    assert torch.equal(counted.label, whole.label)
    torch.testing.assert_close(counted.image, whole.image)


def test_a_search_with_fewer_gradients_finds_the_same_epsilon_init():
    """Of any attack that begins anew in each of five balls: it may succeed in a ball and fail in a larger one."""
    draws, searched = np.random.default_rng(0), 0
    for _ in range(500):
        n, share = int(draws.integers(1, 12)), draws.choice([0.3, 0.5, 0.9, 1.0])
        succeeds = torch.from_numpy(draws.random((n, 5)) < [0.4, 0.4, 0.4, 0.4, 0.99])
        away = torch.from_numpy(draws.uniform(0, 16, n)).float()

        def climb(rows, start, succeeds=succeeds, away=away):
            tried = succeeds[rows] & (2.0 ** torch.arange(5) >= start)
            epsilon = 2.0 ** tried.int().argmax(dim=1)
            return AdversarialSet(tried, tried, epsilon, away[rows].masked_fill(~tried.any(dim=1), math.nan), tried)

        found = radii(climb, torch.arange(n), Search(n, 1.0, share), farthest=16.0)
        assert (found is not None) == succeeds[:, 4].all()
        if found is not None:
            searched, index = searched + 1, math.ceil(share * n) - 1
            assert found.sort().values[index] == climb(torch.arange(n), 1.0).epsilon.sort().values[index]
    assert searched > 400


@pytest.mark.parametrize(("attack", "share", "most"), [(PGD50, 0.5, 0.9), (PGD50, 0.95, 0.3), (ONWARDS, 0.95, 1.0)])
def test_the_search_takes_fewer_gradients_than_climbing_and_finds_the_same(attack, share, most):
    """But for an attack that goes on from what it tried in a smaller ball, which has to climb."""
    forward, x, y = task(3, n=100)
    images = 0

    def counted(x):
        nonlocal images
        images += len(x)
        return forward(x)

    chosen = choose_epsilon_init(counted, x, y, replace(attack, search=Search(100, 0.001, share)), SEEDS)
    searched, images = images, 0
    rungs = build_adversarial_set(counted, x, y, 0.001, attack, SEEDS).epsilon
    assert chosen == rungs.sort().values[math.ceil(share * 100) - 1]
    assert searched == images if most == 1 else searched < most * images


def test_going_on_from_the_last_iterate_saves_the_steps_back_to_it():
    """And nothing else: in distance neither is better, by a tenth of the mean here."""
    forward, x, y = task(7, n=100)
    again = build_adversarial_set(forward, x, y, 0.001, PGD50, SEEDS)
    onwards = build_adversarial_set(forward, x, y, 0.001, ONWARDS, SEEDS)
    assert again.passes.sum() > onwards.passes.sum()
    torch.testing.assert_close(again.distance.mean(), onwards.distance.mean(), rtol=0.1, atol=0)


def test_the_work_is_below_three_runs_of_the_attack():
    """Appendix E.1's claim, with epsilon_init chosen as it says, counted in gradients per sample."""
    forward, x, y = task(5, n=200)
    chosen = choose_epsilon_init(forward, x[:100], y[:100], PGD50, SEEDS)
    found = build_adversarial_set(forward, x, y, chosen, PGD50, SEEDS)
    assert found.passes.double().mean() < 3 * 50


def constant(x):
    """A model that ignores its input."""
    return x.flatten(1).sum(dim=1, keepdim=True) * 0 + torch.tensor([1.0, 0.0])


@pytest.mark.parametrize("attack", [PGD50, FFGSM], ids=["pgd", "ffgsm"])
def test_a_model_that_ignores_its_input_is_an_error_not_an_endless_loop(attack):
    x, y = images(2)[0], torch.zeros(2, dtype=torch.long)
    found = build_adversarial_set(constant, x, y, 0.1, attack, SEEDS)
    assert not found.found.any()
    assert found.label.tolist() == [0, 0]
    with pytest.raises(
        RuntimeError, match=r"none of 2 samples has an adversarial example by (pgd|ffgsm): does the model"
    ):
        choose_epsilon_init(constant, x, y, attack, SEEDS)


def test_a_sample_without_an_adversarial_example_stops_no_other(tmp_path):
    """It is left out of D_A; all others have what they have without it."""
    forward, x, y = task(5, n=20)

    def deaf(x):  # where the first pixel is bright
        return torch.where(x[:, 0, 0, :1] > 0.9, 1e3 * y0, forward(x))

    x[:, 0, 0, 0] = x[:, 0, 0, 0].clamp(max=0.5)
    whole = build_adversarial_set(forward, x, y, 0.1, PGD50, SEEDS)
    x[[3, 8], 0, 0, 0] = 1.0
    y0 = torch.nn.functional.one_hot(y[3], forward(x).shape[1])
    y[8] = y[3]
    found = build_adversarial_set(deaf, x, y, 0.1, PGD50, SEEDS)
    assert torch.nonzero(~found.found).flatten().tolist() == [3, 8]
    others = [n for n in range(20) if n not in (3, 8)]
    torch.testing.assert_close(found.image[others], whole.image[others])

    columns = {name: getattr(found, name).numpy() for name in ("image", "label", "distance")}
    write_arrays(tmp_path / "found.h5", columns)
    rows, image, label = load_adversarial(tmp_path / "found.h5", np.array([2, 3, 5, 8]))
    assert rows.tolist() == [2, 5]
    assert np.array_equal(image, columns["image"][[2, 5]])
    assert np.array_equal(label, columns["label"][[2, 5]])


def test_the_step_attacks_each_training_sample_of_one_original_in_evaluation_mode(tmp_path):
    """Of a network with batch normalisation: its answer to an image does not depend on the others of the batch."""
    files, data = toy.files(tmp_path, sets=1, network=toy.SMALL)
    originals = stacks.load([files["originals"]], toy.CPU)
    pgd10 = Attack("pgd", {"steps": 10, "relative_step": 0.1}, Search(20, 0.05, 0.95))
    options = {"originals": files["originals"], "original": 1, "attack": pgd10, "seed": 0}
    adversarial(dataset=files["dataset"], **options, output=tmp_path / "found.h5")
    rows, image, label = load_adversarial(tmp_path / "found.h5", np.arange(70))
    assert rows.tolist() == [*range(70)]
    assert originals.predict(torch.from_numpy(image))[1].argmax(dim=1).tolist() == label.tolist()
    assert (label != data.labels[data.train]).all()
    with h5py.File(tmp_path / "found.h5") as file:
        apart = image - toy.pool(data)[data.train].numpy()
        np.testing.assert_allclose(np.sqrt((apart**2).sum(axis=(1, 2, 3))), file["distance"][:], atol=1e-5)
        assert file["epsilon"][:].min() >= file.attrs["epsilon_init"]


def test_the_step_attacks_the_forget_sets_alone_where_it_is_told_to(tmp_path):
    files, data = toy.files(tmp_path, sets=1, network=toy.SMALL)
    pgd10 = Attack("pgd", {"steps": 10, "relative_step": 0.1}, Search(20, 0.05, 0.95))
    options = {"dataset": files["dataset"], "originals": files["originals"], "original": 1, "attack": pgd10, "seed": 0}
    adversarial(**options, forget=[files["forget"]], output=tmp_path / "few.h5")
    wanted = np.flatnonzero(load_forget(files["forget"], data.train).any(axis=0))
    assert 0 < len(wanted) < data.train.sum()
    with h5py.File(tmp_path / "few.h5") as file:
        assert file["sample"][:].tolist() == wanted.tolist()
        assert len(file["image"]) == len(wanted)
    some = wanted[1::2]
    rows, image, label = load_adversarial(tmp_path / "few.h5", some)
    assert rows.tolist() == some.tolist()
    original = stacks.load([files["originals"]], toy.CPU)[[1]]
    assert original.predict(torch.from_numpy(image))[0].argmax(dim=1).tolist() == label.tolist()
    near = np.abs(image - toy.pool(data)[some].numpy()).max(axis=(1, 2, 3))
    far = np.abs(image - toy.pool(data)[np.roll(some, 1)].numpy()).max(axis=(1, 2, 3))
    assert (near < far).all(), "each sample has its own"
    with pytest.raises(ValueError, match="has no row for 1 of the samples"):
        load_adversarial(tmp_path / "few.h5", np.array([np.setdiff1d(np.arange(70), wanted)[0], wanted[-1]]))


# ---- FFGSM (Appendix F.5) --------------------------------------------------------------------------------------------


def literal_ffgsm(forward, x, y, epsilon_init, seed, rounds, noise):
    """F.5, one sample, in words of its own: image, final epsilon, gradients."""
    if forward(x).argmax(dim=1).item() != y.item():
        return x, epsilon_init, 0
    gradients, base = 0, x
    while True:
        base = base.detach().requires_grad_()
        (g,) = torch.autograd.grad(F.cross_entropy(forward(base), y), base)
        gradients += 1
        epsilon = epsilon_init
        for _ in range(rounds):
            moved = (base.detach() + epsilon * g.sign()).clamp(0, 1)
            if forward(moved).argmax(dim=1).item() != y.item():
                return moved, epsilon, gradients
            epsilon *= 2
        drawn = np.random.default_rng([seed, gradients]).uniform(-noise, noise, x.shape[1:])
        noise *= 2
        base = (x + torch.from_numpy(drawn)).clamp(0, 1)


def test_ffgsm_is_the_rule_sample_by_sample():
    forward = classifier(2, torch.float64)
    x = images(40)[0].double()
    y = forward(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 10
    found = build_adversarial_set(forward, x, y, 0.02, FFGSM, SEEDS)
    for n in range(40):
        image, epsilon, gradients = literal_ffgsm(forward, x[n : n + 1], y[n : n + 1], 0.02, n, 3, 0.1)
        torch.testing.assert_close(found.image[n : n + 1], image)
        assert found.epsilon[n].item() == pytest.approx(epsilon)
        assert found.passes[n].item() == gradients
    assert (found.label != y).all()
    assert torch.equal(found.label, forward(found.image).argmax(dim=1))
    torch.testing.assert_close(found.distance, (found.image - x).flatten(1).norm(dim=1))
    assert found.distance[0] == 0
    assert found.passes.max() > 1  # some restarted, so that the rule was compared there too


def test_a_sample_s_ffgsm_does_not_depend_on_its_batch():
    forward, x, y = task(2, n=40)
    whole = build_adversarial_set(forward, x, y, 0.02, FFGSM, SEEDS)
    part = build_adversarial_set(forward, x[7:19], y[7:19], 0.02, FFGSM, SEEDS[7:19])
    assert torch.equal(part.passes, whole.passes[7:19])
    torch.testing.assert_close(part.image, whole.image[7:19])


def test_a_success_in_the_last_restart_counts(monkeypatch):
    forward, x, y = task(2, n=40)
    whole = build_adversarial_set(forward, x, y, 0.02, FFGSM, SEEDS)
    monkeypatch.setattr("amun_steps.attacks.ffgsm.MOST_RESTARTS", int(whole.passes.max()) - 1)
    again = build_adversarial_set(forward, x, y, 0.02, FFGSM, SEEDS)
    assert torch.equal(again.image, whole.image)


def test_ffgsm_is_cheaper_and_farther_than_pgd():
    forward, x, y = task(9, n=100)
    near, far = (build_adversarial_set(forward, x, y, 0.02, attack, SEEDS) for attack in (PGD50, FFGSM))
    assert far.passes.sum() < near.passes.sum()
    assert (far.distance[3:] > near.distance[3:]).double().mean() > 0.9


# ---- DDN (Rony et al., 2019) -----------------------------------------------------------------------------------------


def literal_ddn(forward, x, y, norm, steps, gamma):
    """The paper's Algorithm 1 without its rounding, one sample: the nearest adversarial image that it meets. gamma: of
    each step."""
    current, best, nearest = x, None, math.inf
    for k in range(steps):
        current = current.detach().requires_grad_()
        logits = forward(current)
        (g,) = torch.autograd.grad(F.cross_entropy(logits, y), current)
        delta = current.detach() - x
        delta = delta + (0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2) * g / g.norm()
        norm = norm * (1 - gamma[k] if logits.argmax(dim=1).item() != y.item() else 1 + gamma[k])
        current = (x + norm * delta / delta.norm()).clamp(0, 1)
        if forward(current).argmax(dim=1).item() != y.item() and (current - x).norm().item() < nearest:
            best, nearest = current.detach(), (current.detach() - x).norm().item()
    return best


@pytest.mark.parametrize("start", [0.02, 0.5, 3.0])
@pytest.mark.parametrize(
    ("parameters", "gamma"),
    [({}, [0.05] * 20), ({"gamma": 0.2, "last_gamma": 0.01}, 0.105 + 0.095 * np.cos(np.arange(20) * np.pi / 20))],
)
def test_ddn_is_the_rule_sample_by_sample(start, parameters, gamma):
    forward = classifier(3, torch.float64)
    x = images(30)[0].double()
    y = forward(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 10
    ddn = replace(DDN, parameters={"steps": 20} | parameters)
    found = build_adversarial_set(forward, x, y, start, ddn, SEEDS)
    assert found.distance[0] == found.passes[0] == found.epsilon[0] == 0
    for n in range(1, 30):
        rounds, norm = 0, start
        while (image := literal_ddn(forward, x[n : n + 1], y[n : n + 1], norm, 20, gamma)) is None:
            rounds, norm = rounds + 1, 2 * norm
        torch.testing.assert_close(found.image[n : n + 1], image, rtol=1e-3, atol=1e-4)
        assert found.passes[n].item() == 20 * (rounds + 1)
    assert torch.equal(found.label, forward(found.image).argmax(dim=1))
    assert (found.label != y).all()
    assert (found.distance <= found.epsilon * (1 + 1e-9)).all()


def test_ddn_gives_up_where_there_is_no_adversarial_example():
    def constant(x):
        return torch.eye(10, dtype=x.dtype)[torch.zeros(len(x), dtype=torch.long)] + 0 * x.flatten(1)[:, :1]

    x, y = images(4)[0], torch.tensor([0, 0, 1, 0])
    found = build_adversarial_set(constant, x, y, 0.5, DDN, SEEDS)
    assert found.found.tolist() == [False, False, True, False]
    assert found.label.tolist() == [0, 0, 0, 0]


def test_ddn_of_no_image_has_none():
    forward, x, y = task(9, n=2)
    assert len(build_adversarial_set(forward, x[:0], y[:0], 0.5, DDN, SEEDS).image) == 0


def test_ddn_lies_nearer_than_the_ladder_and_its_epsilon_init_is_such_a_norm():
    forward, x, y = task(9, n=100)
    ddn = replace(DDN, parameters={"steps": 100})
    epsilon_init = choose_epsilon_init(forward, x, y, ddn, SEEDS)
    near, ladder = (build_adversarial_set(forward, x, y, e, a, SEEDS) for e, a in ((epsilon_init, ddn), (0.5, PGD50)))
    assert near.found.all()
    assert near.distance[3:].median() < ladder.distance[3:].median()
    assert near.distance[3:].min() < epsilon_init < near.distance.max()
