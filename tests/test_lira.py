"""Log odds and LiRA: by their authors' formulas written out, and on Gaussian models."""

import math

import literal_judges
import numpy as np
import pytest
from scipy.stats import norm

from amun_steps.judging import lira
from amun_steps.judging.log_odds import log_odds
from amun_steps.judging.metrics import auc


def test_log_odds_are_those_of_the_softmax():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(0, 3, (5, 20, 4)), generator.integers(0, 4, 20)
    np.testing.assert_allclose(log_odds(logits, labels), [literal_judges.log_odds(of, labels) for of in logits])


def test_log_odds_are_exact_where_a_probability_rounds_to_one():
    logits = np.array([[80.0, 0, 0], [0, 80, 0]], dtype=np.float32)
    np.testing.assert_allclose(log_odds(logits, np.array([0, 0])), [80 - math.log(2), -80])


def test_a_sample_whose_logits_are_not_finite_has_no_log_odds_and_others_have():
    logits = np.array([[1.0, np.inf], [np.nan, 1], [2, 1]])
    assert np.isnan(log_odds(logits, np.array([0, 1, 0]))).tolist() == [True, True, False]


def drawn(models, samples, shift, seed=0):
    """Log odds of reference models around each sample's own, by a `shift` higher in the half that is included."""
    generator = np.random.default_rng(seed)
    hardness = generator.normal(2, 3, samples)
    included = generator.random((models, samples)).argsort(axis=0) < models // 2
    return generator, hardness, hardness + shift * included + generator.normal(0, 1, (models, samples)), included


@pytest.mark.parametrize("models", [6, 62, 64, 80])
def test_lira_is_the_log_likelihood_ratio_of_each_sample_s_gaussians(models):
    generator, hardness, references, included = drawn(models, 15, 1.5)
    target = hardness + generator.normal(0, 1, (2, 15))
    expected = [literal_judges.lira(of, references, included) for of in target]
    np.testing.assert_allclose(lira.scores(target, references, included), expected)


def test_on_gaussian_models_lira_s_auc_is_what_theory_gives():
    """Members' log odds are shifted by 1, all have the variance 1: a ratio of densities tells them apart as well
    as log odds less the sample's hardness would, with an AUC of Phi(1 / sqrt(2)). Log odds alone are blurred by it."""
    generator, hardness, references, included = drawn(400, 8000, 1.0)
    member = np.arange(8000) < 4000
    target = hardness + member + generator.normal(0, 1, 8000)
    found = lira.scores(target, references, included)
    expected = 100 * norm.cdf(1 / math.sqrt(2))
    assert auc(found[member], found[~member]) == pytest.approx(expected, abs=1.5)
    assert auc(target[member], target[~member]) < expected - 10


def test_lira_names_a_sample_that_no_reference_model_was_trained_on():
    with pytest.raises(ValueError, match=r"sample 1: found no model .* more references"):
        lira.scores(np.zeros(2), np.zeros((2, 2)), np.array([[True, False], [False, False]]))
