"""KLoM, JSD and ToW: by their authors' formulas written out, and on cases whose answer is known."""

import math

import literal_judges
import numpy as np
import pytest

from amun_steps.judging.divergences import jensen_shannon, klom
from amun_steps.judging.tug_of_war import tug_of_war


def test_klom_is_the_divergence_of_binned_margins():
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(1, 1, (30, 40)), generator.normal(0, 2, (20, 40))
    expected = [literal_judges.klom(u.tolist(), r.tolist()) for u, r in zip(unlearned.T, retrained.T, strict=True)]
    np.testing.assert_allclose(klom(unlearned, retrained), expected)


def test_klom_of_what_is_the_same_and_of_what_has_nothing_in_common():
    said = np.random.default_rng(0).normal(size=(20, 6))
    np.testing.assert_allclose(klom(said, said), 0, atol=1e-12)
    np.testing.assert_allclose(klom(said, said + 500), math.log(1 / 1e-5), atol=1e-4)
    np.testing.assert_allclose(klom(np.ones((3, 2)), np.ones((4, 2))), 0, atol=1e-12)
    np.testing.assert_allclose(klom(said * 0 + 300, said * 0 + 200), 0, atol=1e-12)  # both are 100 at most


def test_klom_of_equal_gaussians_falls_with_the_number_of_models():
    generator = np.random.default_rng(0)
    found = [klom(*generator.normal(size=(2, models, 200))).mean() for models in (10, 100, 1000)]
    assert found == pytest.approx([5.7, 0.33, 0.025], rel=0.15)


def test_jsd_is_the_mean_over_samples_and_retrained_models():
    generator = np.random.default_rng(0)
    logits, retrained = generator.normal(0, 2, (6, 4)), generator.normal(0, 2, (3, 6, 4))
    shares = [np.exp(of) / np.exp(of).sum(axis=-1, keepdims=True) for of in (logits, *retrained)]
    expected = [literal_judges.jensen_shannon(shares[0][n], of[n]) for of in shares[1:] for n in range(6)]
    assert jensen_shannon(logits, retrained) == pytest.approx(np.mean(expected))


def test_jsd_of_what_is_the_same_and_of_what_has_nothing_in_common():
    logits = np.array([[40.0, 0, 0], [0, 40, 0]])
    assert jensen_shannon(logits, logits[None]) == pytest.approx(0, abs=1e-15)
    assert jensen_shannon(logits, logits[None, ::-1]) == pytest.approx(math.log(2))


def test_tug_of_war_by_hand():
    assert tug_of_war(np.array([1.0, 0.9, 0.7]), np.array([0.8, 1.0, 0.7])) == pytest.approx(0.8 * 0.9)
    assert tug_of_war(np.array([0.3, 0.2, 0.1]), np.array([0.3, 0.2, 0.1])) == 1
