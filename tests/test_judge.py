"""What is measured of a model: scores made by hand for three sets, and whole steps against literal definitions."""

import h5py
import literal
import numpy as np
import pandas as pd
import pytest
import toy
from scipy.stats import norm

from amun_steps.judging import rmia
from amun_steps.judging.judge import Judge
from amun_steps.steps.score import Names, score
from amun_steps.steps.tune import tune
from amun_steps.steps.unlearn import Unlearning
from amun_steps.store.arrays import write_arrays
from amun_steps.training import stack as stacks

SIGNAL = {"temperature": 2.0, "margin": 0.6, "taylor_terms": 4}
NAMES = Names("toy", "toy", "toy", "some", "", "random", "0123456789ab")


def test_each_metric_compares_the_two_sets_that_it_is_named_for():
    """D_R scores 3 and 1, D_F 2 and 2, D_T 2 and 0; of D_R half is right, of D_F all, of D_T none."""
    train = np.array([True, True, True, True, False, False])
    forget = np.array([False, False, True, True, False, False])
    labels = np.array([0, 0, 1, 1, 1, 1])
    logits = np.eye(2)[[0, 1, 1, 1, 0, 0]]
    membership = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    judge = Judge(np.ones(6), labels, train, SIGNAL, 2.0)
    found = judge.metrics(logits, membership, forget)
    assert (found["unlearn_accuracy"], found["retain_accuracy"], found["test_accuracy"]) == (100, 50, 0)
    assert found["ft_auc"] == 75  # two ties with the first of D_T, two above the second
    assert found["fr_auc"] == 50  # 3 is above both of D_F, 1 above none
    assert found["rt_auc"] == 75  # 3 is above both of D_T, 1 above one
    assert found["tpr_at_1_fpr"] == found["tpr_at_0.1_fpr"] == 0  # no score of D_F is above D_T's best
    asked = judge.metrics(logits, membership, forget, remain=train & (labels == 0))
    assert asked == found
    fewer = judge.metrics(logits, membership, forget, remain=np.arange(6) == 0)
    assert (fewer["retain_accuracy"], fewer["fr_auc"], fewer["rt_auc"]) == (100, 100, 100)
    alike = judge.metrics(logits, membership, forget, alike=np.arange(6) == 5)
    assert (alike["ft_auc"], alike["tpr_at_1_fpr"], alike["rt_auc"]) == (100, 100, 75)  # D_F against the second of D_T


def test_the_share_at_a_false_positive_rate_is_of_the_forget_set_against_the_test_set():
    """Of 1,000 test samples 1 scores 9, 9 score 5, 90 score 4, the rest 0; of D_F a quarter each 10, 7, 4.5 and 1."""
    membership = np.r_[10.0, np.repeat([10.0, 7.0, 4.5, 1.0], 25), 9.0, [5.0] * 9, [4.0] * 90, [0.0] * 900]
    train, remain = np.arange(1101) < 101, np.arange(1101) < 1
    judge = Judge(np.ones(1101), np.zeros(1101, dtype=int), train, SIGNAL, 2.0)
    found = judge.metrics(np.zeros((1101, 2)), membership, train & ~remain)
    assert found["tpr_at_0.1_fpr"] == 50  # above 5: one of 1,000 is
    assert found["tpr_at_1_fpr"] == 75  # above 4: ten of them are


def test_membership_is_by_the_judge_s_own_signal_and_gamma():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(0, 2, (30, 4)), generator.integers(0, 4, 30)
    references = generator.uniform(0.1, 0.9, (3, 30))
    for temperature, margin, gamma in ((1.0, 0.2, 1.0), (2.0, 0.6, 3.0)):
        parameters = {"temperature": temperature, "margin": margin, "taylor_terms": 4}
        judge = Judge(rmia.prior(references), labels, np.arange(30) < 20, parameters, gamma)
        expected = literal.rmia(literal.signals(logits, labels, temperature, margin), references, gamma)
        np.testing.assert_allclose(judge.membership(logits), expected)


# ---- the step `score`, on arrays made by hand ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    """150 samples of 4 classes: 90 of training, in two forget sets and tuning's; five references; logits of 3 models.

    Of each set, |D_R| = |D_T|, so that the SVM sees all of both.
    """
    generator = np.random.default_rng(0)
    labels, train = generator.integers(0, 4, 150), np.arange(150) < 90
    sets = np.zeros((3, 150), dtype=bool)
    for row in sets:
        row[generator.choice(90, 30, replace=False)] = True
    strength = np.where(sets[0], 1.0, np.where(train, 2.0, 0.5))[:, None]
    logits = strength * np.eye(4)[labels] + generator.normal(0, 1, (3, 150, 4))
    return labels, train, sets, generator.uniform(0.1, 0.9, (5, 150)), logits.astype(np.float32)


def written(where, arrays):
    labels, train, sets, signals, _ = arrays
    write_arrays(where / "dataset.h5", {"labels": labels.astype(np.int16), "train": train})
    write_arrays(where / "forget.h5", {"forget": sets})
    write_arrays(where / "signals.h5", {"signals": signals})
    return {name: where / f"{name}.h5" for name in ("dataset", "forget", "signals")}


def outputs(path, logits, which):
    count = len(logits)
    numbers = {"original": [-1] * count, "set": [which] * count, "run": range(count), "seed": range(count)}
    write_arrays(path, {"logits": logits} | {name: np.array(values) for name, values in numbers.items()})
    return path


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_a_row_of_scores_is_every_metric_by_its_definition(arrays, tmp_path, gamma, caplog):
    caplog.set_level("INFO")
    labels, train, sets, signals, logits = arrays
    paths = [outputs(tmp_path / "set1.h5", logits[:1], 1), outputs(tmp_path / "all.h5", logits[1:], -1)]
    files = {"scores": tmp_path / "scores.h5", "runs": tmp_path / "runs.csv"}
    options = {"names": NAMES, "signal": SIGNAL, "gamma": gamma, "seed": 0}
    score(**written(tmp_path, arrays), outputs=paths, **options, **files)
    runs = pd.read_csv(files["runs"])
    rows = [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]  # model and set; tuning's is in none
    assert runs["set"].tolist() == [which for _, which in rows]
    with h5py.File(files["scores"]) as file:
        memberships = file["rmia"][:]
    for (model, which), membership, (_, row) in zip(rows, memberships, runs.iterrows(), strict=True):
        expected = literal.rmia(literal.signals(logits[model], labels), signals, gamma)
        np.testing.assert_allclose(membership, expected)
        remain = train & ~sets[which]
        found = literal.judged(logits[model], labels, expected, remain, sets[which], ~train)
        found["mis"] = literal.mis(logits[model], labels, remain, ~train, sets[which])
        assert row[list(found)].astype(float).to_dict() == pytest.approx(found, abs=1e-5)
        # the most frequent score's share
        assert row.rmia_ties == pytest.approx(100 * max(np.isclose(expected, s).mean() for s in expected), abs=1e-5)
    means = runs[["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc"]].mean()
    said = "Unlearn Acc {:.2f}, Retain Acc {:.2f}, Test Acc {:.2f}, FT AUC {:.2f} (mean of 5)".format(*means)
    assert f"-> some, random: {said}" in caplog.messages


def test_each_set_is_told_from_its_own_test_samples(arrays, tmp_path):
    labels, train, sets, signals, logits = arrays
    files, tests = written(tmp_path, arrays), np.array([~train & (labels == c) for c in (0, 1, 2)])
    write_arrays(files["forget"], {"forget": sets, "test": tests})
    made = {"scores": tmp_path / "scores.h5", "runs": tmp_path / "runs.csv"}
    everyone = [outputs(tmp_path / "all.h5", logits[:1], -1)]
    score(**files, outputs=everyone, names=NAMES, signal=SIGNAL, gamma=2.0, seed=0, **made)
    membership = literal.rmia(literal.signals(logits[0], labels), signals, 2.0)
    for which, row in pd.read_csv(made["runs"]).iterrows():
        remain, own = train & ~sets[which], tests[which]
        found = literal.judged(logits[0], labels, membership, remain, sets[which], own)
        assert row.ft_auc == pytest.approx(found["ft_auc"], abs=1e-5)
        assert row.forgotten_class_accuracy == pytest.approx(found["test_accuracy"], abs=1e-5)
        whole = literal.judged(logits[0], labels, membership, remain, sets[which], ~train)
        assert row.rt_auc == pytest.approx(whole["rt_auc"], abs=1e-5)


# ---- the step `tune`, where a learning rate of 0 leaves the originals as they are ------------------------------------


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_a_trial_is_measured_on_tuning_s_set_against_its_own_retrained_models(tmp_path, gamma):
    files, data = toy.files(tmp_path, sets=3)
    generator = np.random.default_rng(1)
    signals = generator.uniform(0.1, 0.9, (4, len(data.labels)))
    write_arrays(tmp_path / "signals.h5", {"signals": signals})
    retrained = generator.normal(0, 2, (2, len(data.labels), 10))
    write_arrays(tmp_path / "retrained.h5", {"logits": retrained})
    names = ("dataset", "originals", "forget", "adversarial")
    plan = toy.recipe(epochs=1, batch_size=64)
    tune(
        **{name: files[name] for name in names},
        forget_name="random",
        retrained=tmp_path / "retrained.h5",
        signals=tmp_path / "signals.h5",
        signal=SIGNAL,
        gamma=gamma,
        unlearning=Unlearning("ft", True, plan, seed=0),
        grid={"learning_rate": [0.0], "step": [None]},
        on=[1],
        part=0,
        parts=1,
        output=tmp_path / "grid.csv",
    )
    (found,) = pd.read_csv(tmp_path / "grid.csv").to_dict("records")
    with h5py.File(files["forget"]) as file:
        forget = file["forget"][:][-1]
    criterion = ["unlearn_accuracy", "retain_accuracy", "test_accuracy", "ft_auc"]

    def measured(logits):
        membership = literal.rmia(literal.signals(logits, data.labels), signals, gamma)
        judged = literal.judged(logits, data.labels, membership, data.train & ~forget, forget, ~data.train)
        return np.array([judged[name] for name in criterion])

    original = stacks.load([files["originals"]], toy.CPU).predict(toy.pool(data))[1].numpy()
    expected, standard = measured(original), np.mean([measured(logits) for logits in retrained], axis=0)
    assert [found[name] for name in criterion] == pytest.approx(expected, abs=1e-5)
    assert found["average_gap"] == pytest.approx(np.abs(expected - standard).mean(), abs=1e-5)
    assert found["original"] == 1


# ---- RMIA on models whose signals are Gaussian -----------------------------------------------------------------------

COUNT, SPREAD, HARDNESS = 8_000, 0.5, 1.0


def odds(v: np.ndarray) -> np.ndarray:
    return 1 + v + v**2 / 2 + v**3 / 6


def two_class_logits(log_signal: np.ndarray) -> np.ndarray:
    """(..., N, 2) logits, label 0, whose SM-Taylor-Softmax is exp(log_signal): tau(l / 2 - 0.6) against tau(0) = 1."""
    grid = np.linspace(-8, 12, 400_001)
    p = np.exp(log_signal)
    logit = 2 * (np.interp(p / (1 - p), odds(grid), grid) + 0.6)
    return np.stack([logit, np.zeros_like(logit)], axis=-1)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_on_gaussian_models_auc_and_scores_are_what_theory_gives(gamma):
    """log Pr(x | theta) is Gaussian around x's own hardness, higher by `shift` where theta was trained on x.

    RMIA's prior takes the hardness out, so that the difference of two samples' log r has the same spread for all, and
    AUC is Phi(mean difference / spread). In the spread is the model's own variance and that of the prior's logarithm, a
    mean of 64 + 64 log-normals. A raw signal would be blurred by the hardness as well. D_R, D_F (partly forgotten) and
    D_T differ in shift. Tolerance: three standard errors; an AUC of n against n has at most about 1 / sqrt(6 n).
    """
    generator = np.random.default_rng(7)
    count, shift, references = COUNT, 0.6, 128
    hardness = generator.normal(-3, HARDNESS, 3 * count).clip(-6, -1.5)
    included = generator.random((references, 3 * count)).argsort(axis=0) < references // 2
    labels = np.zeros(3 * count, dtype=int)

    def model(shifts):
        return two_class_logits((hardness + shifts + generator.normal(0, SPREAD, shifts.shape)).clip(max=-0.05))

    prior = rmia.prior(rmia.signal(model(shift * included), labels, **SIGNAL))
    moved = np.repeat([shift, shift / 3, 0.0], count)  # D_R, D_F, D_T
    train, forget = np.repeat([True, True, False], count), np.repeat([False, True, False], count)
    judge = Judge(prior, labels, train, SIGNAL, gamma)
    logits = model(moved)
    membership = judge.membership(logits)
    found = judge.metrics(logits, membership, forget)
    ends = np.exp([shift, 0.0])
    of_prior = (np.exp(SPREAD**2) - 1) * (ends**2).mean() / references / ends.mean() ** 2
    spread = np.sqrt(2 * (SPREAD**2 + of_prior))
    error = 100 / np.sqrt(6 * count)
    for name, difference in (("ft_auc", shift / 3), ("fr_auc", 2 * shift / 3), ("rt_auc", shift)):
        assert found[name] == pytest.approx(100 * norm.cdf(difference / spread), abs=3 * error), name
    # the share of all z that a sample of D_F is above by the factor gamma: a third of them is of each set
    above = np.mean([norm.cdf((shift / 3 - other - np.log(gamma)) / spread) for other in (shift, shift / 3, 0.0)])
    assert membership[forget].mean() == pytest.approx(above, abs=3 * error / 100)
    raw = 100 * norm.cdf(shift / 3 / np.sqrt(2 * (SPREAD**2 + np.var(hardness))))
    assert found["ft_auc"] > raw + 3 * error  # the setting tells RMIA from a threshold on the signal
