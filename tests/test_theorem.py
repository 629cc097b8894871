"""Theorem 4.1: its assumptions and its bound on a linear model, by hand and on digits."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from amun_steps.views import theorem


@pytest.fixture(scope="module")
def digits():
    return theorem.two_digits()


@pytest.fixture(scope="module")
def original(digits):
    return theorem.train(*digits)


@pytest.fixture(scope="module")
def table():
    return theorem.check(samples=36, seed=0)


def test_the_bound_by_hand(monkeypatch):
    """Two points, 1 and -1 on the first axis, whose first gradient step ends at no loss; the point 1 is forgotten.

    theta_o = (1, 0, 0), theta_u = (1/2, 0, -1/2), x' = 0. The Gram matrix of D' is diag(2, 0, 3), so beta is 6; only
    x' has loss at theta_o, with the gradient (0, 0, 2), so theta' = (1, 0, -1/3). The losses of 1, -1 and x' are 1, 0
    and 1/4 at theta_u and 1/9, 0 and 4/9 at theta'.
    """
    monkeypatch.setattr(theorem, "BEYOND", 1e-12)
    points, labels = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0])
    np.testing.assert_allclose(theorem.train(points, labels), [1, 0, 0])
    row = theorem.bound(points, labels, [0]).iloc[0]
    expected = {"delta": 1, "lipschitz": 2, "beta": 6, "c": 1 + 4 / 9 - 1 - 1 / 4}
    expected |= {"before": 1 / 2, "left": 1 / 4 + 1 / 36}
    expected["middle"] = 1 / 2 + 2 / 6 * ((1 + 0 + 1 / 4) - (1 / 9 + 0 + 4 / 9))
    expected["right"] = 1 / 2 + 2 / 6 * (2 - expected["c"])
    expected["slack"] = expected["right"] - expected["left"]
    assert row[list(expected)].to_dict() == pytest.approx(expected, rel=1e-9)
    assert row.loss_original == row.loss_retrained == 0


def test_both_trainings_end_without_loss(table):
    assert (table[["loss_original", "loss_retrained"]] == 0).all(axis=None)


def test_the_adversarial_example_is_wrong_and_the_closest(digits, original, table):
    points, labels = digits
    for n, delta in zip(table["sample"], table.delta, strict=True):
        x_adv = theorem.closest_adversarial_example(original, points[n], labels[n])
        assert labels[n] * theorem.output(original, x_adv) == pytest.approx(-theorem.BEYOND)
        assert delta == pytest.approx(
            (abs(theorem.output(original, points[n])) + theorem.BEYOND) / np.linalg.norm(original[:-1])
        )


def test_the_gradient_is_the_loss_s(digits):
    points, labels = digits
    theta = np.random.default_rng(0).normal(size=65) / 8
    numerical = approx_fprime(theta, lambda t: theorem.loss(t, points, labels).sum())
    np.testing.assert_allclose(theorem.gradient(theta, points, labels), numerical, rtol=1e-3, atol=1e-2)


def test_the_summed_loss_is_convex_and_beta_smooth_and_no_less_would_do(digits):
    points, labels = digits
    beta = theorem.smoothness(points)
    generator = np.random.default_rng(0)
    for scale in (0.01, 1, 100):
        a, b = scale * generator.normal(size=(2, 65))
        steeper = theorem.gradient(a, points, labels) - theorem.gradient(b, points, labels)
        assert np.linalg.norm(steeper) <= beta * np.linalg.norm(a - b)
        assert steeper @ (a - b) >= 0
    extended = np.column_stack([points, np.ones(len(points))])
    top = 1e-3 * np.linalg.svd(extended)[2][0]  # so near 0, every sample has loss, and the Hessian is its own bound
    steeper = theorem.gradient(top, points, labels) - theorem.gradient(0 * top, points, labels)
    assert np.linalg.norm(steeper) == pytest.approx(beta * np.linalg.norm(top))


def test_the_loss_is_lipschitz_on_the_way_to_the_adversarial_example_and_no_less_would_do(digits, original, table):
    points, labels = digits
    for n, most in zip(table["sample"], table.lipschitz, strict=True):
        x_adv = theorem.closest_adversarial_example(original, points[n], labels[n])
        way = points[n] + np.linspace(0, 1, 1001)[:, None] * (x_adv - points[n])
        slopes = np.abs(np.diff(theorem.loss(original, way, labels[n]))) / np.linalg.norm(way[1] - way[0])
        assert 0.99 * most < slopes.max() <= most


def test_the_bound_holds_for_every_sample(table):
    np.testing.assert_allclose(table.right, table.before + 2 / table.beta * (table.lipschitz * table.delta - table.c))
    np.testing.assert_allclose(table.slack, table.right - table.left)
    assert (table.slack > 0).all()


def test_both_halves_of_the_proof_hold_though_the_others_loss_is_not_0(table):
    assert (table.left <= table.middle).all()
    assert (table.middle <= table.right).all()
    assert (table.loss_others >= 0).all()
    assert (table.loss_others > 0).any()


@pytest.mark.parametrize(("share_of_l", "times_c"), [(0, 1), (0, 2), (0.1, 1)])
def test_with_too_small_an_l_it_does_not(table, share_of_l, times_c):
    """Without the term L delta, or with a tenth of L, the right side is below the left for most samples."""
    right = table.before + 2 / table.beta * (share_of_l * table.lipschitz * table.delta - times_c * table.c)
    assert (table.left > right).mean() > 0.5


def test_with_too_small_a_beta_it_does_not(monkeypatch, digits):
    """A step that is much longer than 1 / beta ends farther from theta_u than the bound with that beta says."""
    n, beta = len(digits[1]), theorem.smoothness
    monkeypatch.setattr(theorem, "smoothness", lambda points: beta(points) / (10_000 if len(points) > n else 1))
    assert (theorem.check(samples=6, seed=0).slack < 0).all()


def test_the_seed_draws_different_samples(table):
    assert table["sample"].is_unique
    few = theorem.check(samples=3, seed=1)
    assert few.equals(theorem.check(samples=3, seed=1))
    assert not few["sample"].equals(theorem.check(samples=3, seed=2)["sample"])


def test_the_model_s_own_lipschitz_constant_is_not_enough_for_the_proof():
    """The docstring's remark: at an output of 1, the loss rises by more than ||w|| delta."""
    theta, x, y = np.array([3.0, 0.0]), np.array([1 / 3]), 1.0
    x_adv = theorem.closest_adversarial_example(theta, x, y)
    rise, delta = theorem.loss(theta, x_adv, y) - theorem.loss(theta, x, y), np.linalg.norm(x_adv - x)
    assert rise > 3 * delta
    assert rise <= theorem.steepest(theta, x_adv, y) * delta


def test_the_bound_never_promises_that_the_step_helps_though_it_does_for_some(table):
    assert (table.right > table.before).all()
    assert (table.left < table.before).any()


def test_classes_that_overlap_are_an_error(monkeypatch):
    monkeypatch.setattr(theorem, "MOST_STEPS", 100)
    with pytest.raises(ValueError, match="after 100 steps there is still loss"):
        theorem.train(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, -1.0, 1.0]))
