"""Theorem 4.1 as numbers: both sides of its bound, on a model for which its assumptions hold exactly.

The theorem (section 4.1, proved in Appendix A) says for one sample (x, y) of D, its adversarial example (x', y') at the
distance delta, and theta' after one step of gradient descent of size 1 / beta from theta_o on the summed loss over
D' = D + (x', y') that

    ||theta' - theta_u||^2 <= ||theta_o - theta_u||^2 + 2 / beta * (L delta - C),
    C = l(theta_o; x', y) + l(theta'; x', y') - l(theta_u; x, y) - l(theta_u; x', y'),

where theta_u was trained on D - (x, y). It assumes that the summed loss is convex and beta-smooth in the parameters,
that the model is L-Lipschitz in its input, and that both trainings end without loss. A deep network is not convex, and
cross entropy is above 0 at all finite weights. What meets the assumptions exactly is here: a linear model f = w x + b
of two classes, -1 and 1, that a hyperplane separates, with the squared hinge loss max(0, 1 - y f)^2.

What writing it down shows of statement and proof:

- L has to be a Lipschitz constant of the *loss* as a function of the input, not of the model: the last line of the
  proof bounds a difference of losses. With the model's own, ||w||, that line is wrong here for a sample whose output
  is 1, and only the room that the other inequalities leave keeps the bound. It is enough that L holds for theta_o and
  the true label, between x and x'; that one is used here.
- The other samples' loss at theta' is taken to be 0. It is only at least 0, after a step that learns (x', y'); it has a
  minus sign, so leaving it out keeps the inequality.
- Only the sum is assumed to be convex, but -l(theta'; x, y) <= -l(theta_o; x, y) is derived from the convexity of this
  one term. It holds without: no loss is below 0, and theta_o's is 0.
- Where the losses are 'near 0' but not 0, the right side lacks 2 / beta times their sum: theta_u's on D - (x, y) and
  theta_o's on (x, y).
- C's first term cannot lower the bound: L delta is at least l(theta_o; x', y), as l(theta_o; x, y) = 0. The only gain
  that is left is l(theta'; x', y'), and with the loss used here not even that: L delta is above C whenever theta' has
  less loss on (x', y') than theta_o, so that the right side is above ||theta_o - theta_u||^2 for every sample, also for
  those that theta' brings nearer to theta_u. The bound holds, but does not say that unlearning helps.
- That adversarial examples transfer, which the paper wants for a small l(theta_u; x', y'), is no assumption and is not
  tested here: x' lies just beyond theta_o's boundary, which is nearly theta_u's, so that this loss is around 1.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

BEYOND = 1e-3  # how far beyond the boundary, in the model's output, an adversarial example lies
MOST_STEPS = 100_000


def two_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's images of the digits 3 and 8: (357, 64) points in [0, 1], and (357,) labels -1 and 1."""
    points, digits = load_digits(return_X_y=True)
    chosen = (digits == 3) | (digits == 8)
    return points[chosen] / 16, np.where(digits[chosen] == 3, -1.0, 1.0)


def check(samples: int, seed: int) -> pd.DataFrame:
    """The `bound` of `samples` different images of two digits, which `seed` draws.

    Raises ValueError for more samples than the 357 images.
    """
    points, labels = two_digits()
    return bound(points, labels, np.random.default_rng(seed).choice(len(labels), samples, replace=False))


def bound(points: np.ndarray, labels: np.ndarray, forgotten: Iterable[int]) -> pd.DataFrame:
    """Both sides of Theorem 4.1, with D = (points, labels), for each sample number in `forgotten`.

    points: (n, d) floats. labels: (n,) -1 or 1. One row per forgotten sample:

    sample                  its number
    left, right, slack      the two sides of the inequality, and right - left: the bound holds where it is >= 0
    before                  ||theta_o - theta_u||^2, with (w, b) as the parameters
    middle                  before + 2 / beta * (R(theta_u) - R(theta')), R the summed loss over D': the proof's first
                            half says left <= middle, its second half middle <= right
    delta, lipschitz        delta, in units of the points (for `check`, pixels from 0 to 1), and L, loss per such unit
    beta, c                 beta and C
    loss_original           theta_o's summed loss on D: 0 by assumption
    loss_retrained          theta_u's summed loss on D - (x, y): 0 by assumption
    loss_others             that of theta' on D - (x, y): 0 according to the proof, in truth >= 0

    Raises ValueError where no hyperplane separates the classes.
    """
    original = train(points, labels)
    rows = []
    for n in forgotten:
        kept = np.arange(len(labels)) != n
        retrained = train(points[kept], labels[kept])
        x, y = points[n], labels[n]
        x_adv, y_adv = closest_adversarial_example(original, x, y), -y
        more = np.vstack([points, x_adv]), np.append(labels, y_adv)
        beta = smoothness(more[0])
        unlearned = original - gradient(original, *more) / beta
        delta, lipschitz = np.linalg.norm(x_adv - x), steepest(original, x_adv, y)
        c = (
            loss(original, x_adv, y)
            + loss(unlearned, x_adv, y_adv)
            - loss(retrained, x, y)
            - loss(retrained, x_adv, y_adv)
        )
        left, before = ((unlearned - retrained) ** 2).sum(), ((original - retrained) ** 2).sum()
        right = before + 2 / beta * (lipschitz * delta - c)
        rows.append(
            {
                "sample": n,
                "left": left,
                "right": right,
                "slack": right - left,
                "before": before,
                "middle": before + 2 / beta * (loss(retrained, *more).sum() - loss(unlearned, *more).sum()),
                "delta": delta,
                "lipschitz": lipschitz,
                "beta": beta,
                "c": c,
                "loss_original": loss(original, points, labels).sum(),
                "loss_retrained": loss(retrained, points[kept], labels[kept]).sum(),
                "loss_others": loss(unlearned, points[kept], labels[kept]).sum(),
            }
        )
    return pd.DataFrame(rows)


def train(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d + 1,) parameters (w, b) whose loss is exactly 0 on all of (n, d) points with (n,) labels -1 or 1.

    Nesterov's accelerated gradient descent from 0, stopped as soon as there is no loss; its momentum carries it across
    the edge of the region without loss, which plain gradient descent only approaches. Raises ValueError where it has
    not got there after MOST_STEPS.
    """
    beta = smoothness(points)
    theta = ahead = np.zeros(points.shape[1] + 1)
    for step in range(1, MOST_STEPS + 1):
        before, theta = theta, ahead - gradient(ahead, points, labels) / beta
        if not loss(theta, points, labels).any():
            return theta
        ahead = theta + step / (step + 3) * (theta - before)
    raise ValueError(f"after {MOST_STEPS} steps there is still loss: does a hyperplane separate the classes?")


def closest_adversarial_example(theta: np.ndarray, point: np.ndarray, label: float) -> np.ndarray:
    """(d,) the nearest point to `point` (d,), in l2, to which `theta` gives the output -BEYOND * label.

    It is not clamped to [0, 1], which no assumption of the theorem asks for.
    """
    w = theta[:-1]
    return point - (output(theta, point) + BEYOND * label) * w / (w @ w)


def output(theta: np.ndarray, points: np.ndarray) -> np.ndarray:
    """w x + b of (..., d) points."""
    return points @ theta[:-1] + theta[-1]


def loss(theta: np.ndarray, points: np.ndarray, labels: np.ndarray | float) -> np.ndarray:
    """Squared hinge loss of (..., d) points, each for itself."""
    return np.maximum(0, 1 - labels * output(theta, points)) ** 2


def gradient(theta: np.ndarray, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d + 1,) gradient of the summed loss of (n, d) points in the parameters (w, b)."""
    slope = -2 * labels * np.maximum(0, 1 - labels * output(theta, points))
    return np.append(slope @ points, slope.sum())


def smoothness(points: np.ndarray) -> float:
    """beta: the largest eigenvalue of 2 sum (x, 1)(x, 1)^T, which the summed loss's Hessian nowhere exceeds."""
    extended = np.column_stack([points, np.ones(len(points))])
    return 2 * np.linalg.eigvalsh(extended.T @ extended)[-1]


def steepest(theta: np.ndarray, x_adv: np.ndarray, label: float) -> float:
    """L: the largest norm of the loss's gradient in the input between a point and its adversarial example.

    The gradient is -2 max(0, 1 - y f) y w, and f moves against y all the way: it is largest at the end.
    """
    return 2 * np.sqrt(loss(theta, x_adv, label)) * np.linalg.norm(theta[:-1])
