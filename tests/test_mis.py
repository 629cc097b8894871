"""The SVM attack: its features against their formulas, its verdict against the SVM fitted plainly."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.svm import SVC

from amun_steps.judging import mis


@given(arrays(np.float64, (3, 4), elements=st.floats(-6, 6)))
@example(np.array([[-5.0, 5, -5, -5], [-5, -5, -5, -5], [-5, -5, -5, -5]]))
def test_features_are_their_formulas_row_by_row(logits):
    labels = np.array([0, 3, 1])
    found = mis.features(logits, labels)
    assert tuple(found) == mis.FEATURES
    for n, y in enumerate(labels):
        p = [math.exp(v) / sum(math.exp(w) for w in logits[n]) for v in logits[n]]
        assert found["correctness"][n] == (max(range(4), key=lambda j: logits[n][j]) == y)
        assert found["confidence"][n] == pytest.approx(p[y])
        assert found["probabilities"][n] == pytest.approx(p)
        assert found["entropy"][n] == pytest.approx(-sum(q * math.log(q) for q in p))
        rest = [sum(p[:j] + p[j + 1 :]) for j in range(4)]  # 1 - p subtracted would lose digits
        modified = -rest[y] * math.log(p[y])
        modified -= sum(p[j] * math.log(rest[j]) for j in range(4) if j != y)
        assert found["modified_entropy"][n] == pytest.approx(modified, rel=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lead", [40.0, 800.0])
def test_modified_entropy_is_exact_where_a_probability_rounds_to_one(lead):
    """Two classes: log(1 - p_0) = log p_1 = -lead. Wrong and certain, both terms are `lead`; right, 0."""
    logits = np.array([[lead, 0.0], [lead, 0.0]], dtype=np.float32)
    found = mis.features(logits, np.array([0, 1]))
    assert found["probabilities"][0, 0] == 1
    assert found["modified_entropy"] == pytest.approx([0, 2 * lead], abs=1e-12)
    assert found["entropy"] == pytest.approx([0, 0], abs=1e-12)


def test_features_are_computed_in_float64():
    logits = np.random.default_rng(0).normal(0, 8, (20, 10)).astype(np.float32)
    labels = np.arange(20) % 10
    exact = mis.features(logits.astype(np.float64), labels)
    for name, values in mis.features(logits, labels).items():
        np.testing.assert_array_equal(values, exact[name])


def svm_verdict(members: np.ndarray, others: np.ndarray, forget: np.ndarray) -> float:
    """As the unlearning literature's code does it, on all samples as they are."""
    machine = SVC(C=3, gamma="auto", kernel="rbf")
    machine.fit(np.vstack([members, others]), np.r_[np.ones(len(members)), np.zeros(len(others))])
    return 100 * np.mean(machine.predict(forget) == 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 15])
@pytest.mark.parametrize("width", [1, 3])
def test_the_verdict_is_that_of_the_svm_of_the_papers(seed, decimals, width):
    """With many equal samples (one decimal) and with none."""
    generator = np.random.default_rng(seed)
    sizes = ((8, 90), (3, 70), (5, 40))
    members, others, forget = (generator.beta(a, 1, (n, width)).round(decimals) for a, n in sizes)
    expected = svm_verdict(members, others, forget)
    assert 0 < expected < 100
    assert mis.mis(members.squeeze(), others.squeeze(), forget.squeeze()) == pytest.approx(expected)


def test_separable_features_are_told_apart():
    members, others = np.full(40, 1.0), np.full(40, 0.1)
    assert mis.mis(members, others, np.array([0.99, 1.0, 0.12, 0.1])) == 50


def test_correctness_follows_the_majority_of_equal_samples():
    """Of the correct, 90 are members and 80 are not; of the wrong, 10 and 20: who is wrong is no member."""
    members, others, forget = (np.repeat([1.0, 0.0], n) for n in ([90, 10], [80, 20], [70, 30]))
    assert mis.mis(members, others, forget) == 30


def test_an_empty_set_is_refused():
    full, empty = np.array([0.1, 0.9]), np.array([])
    for sets in [(empty, full, full), (full, empty, full), (full, full, empty)]:
        with pytest.raises(ValueError, match=r"number of classes|reshape"):
            mis.mis(*sets)


def three_classes(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of 300 samples; the model is sure of the first 200."""
    labels = generator.integers(0, 3, 300)
    logits = np.eye(3)[labels] * np.where(np.arange(300) < 200, 9.0, 1.5)[:, None]
    return logits + generator.normal(0, 0.1, logits.shape), labels


def test_a_model_that_tells_members_apart_scores_low_on_members_and_high_on_others():
    """MIS is the share that is called non-member: for members that were not forgotten it is near 0."""
    logits, labels = three_classes(np.random.default_rng(1))
    remain, forget, test = np.arange(150), np.arange(150, 200), np.arange(200, 300)
    found = mis.scores(logits, labels, remain, forget, test, np.random.default_rng(0))
    assert tuple(found) == mis.FEATURES
    assert found["confidence"] == 0
    unseen = mis.scores(logits, labels, remain, test[:50], test[50:], np.random.default_rng(0))
    assert unseen["confidence"] == 100
    one = mis.scores(logits, labels, remain, forget, test, np.random.default_rng(0), names=("entropy",))
    assert one == {"entropy": found["entropy"]}


@pytest.mark.parametrize(("remain", "test"), [(120, 80), (80, 120), (100, 100)])
def test_the_svm_sees_as_many_members_as_others(monkeypatch, remain, test):
    """Each sample's confidence names it, so the sets that the SVM gets are known."""
    logits, labels = three_classes(np.random.default_rng(2))
    confidence = mis.features(logits, labels)["confidence"]
    sets = np.split(np.arange(remain + 30 + test), [remain, remain + 30])
    seen = []
    monkeypatch.setattr(mis, "mis", lambda *found: seen.append(found) or 0.0)
    for seed in range(2):
        mis.scores(logits, labels, *sets, np.random.default_rng(seed), names=("confidence",))
    size = min(remain, test)
    for members, others, forget in seen:
        assert len(set(members)) == len(set(others)) == size
        assert set(members) <= set(confidence[sets[0]])
        assert set(others) <= set(confidence[sets[2]])
        np.testing.assert_array_equal(forget, confidence[sets[1]])
    (members, others, _), (members_again, others_again, _) = seen
    assert (set(members) != set(members_again)) == (remain > test)  # a random subset, where there is a choice
    assert (set(others) != set(others_again)) == (test > remain)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_has_no_mis(bad):
    logits, labels = np.zeros((10, 2)), np.zeros(10, int)
    logits[3, 1] = bad
    sets = np.split(np.arange(10), [4, 6])
    names = ("entropy", "confidence")
    found = mis.scores(logits, labels, *sets, np.random.default_rng(0), names=names)
    assert tuple(found) == names
    assert np.isnan(list(found.values())).all()
