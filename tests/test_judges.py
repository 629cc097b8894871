"""Other judges than the paper's: against their authors' formulas written out, and on cases whose answer is known."""

import math

import h5py
import literal
import literal_judges
import numpy as np
import pandas as pd
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from amun_steps.judging import lira
from amun_steps.judging.divergences import jensen_shannon, klom
from amun_steps.judging.epsilon import epsilons, points, score
from amun_steps.judging.log_odds import log_odds
from amun_steps.judging.metrics import auc
from amun_steps.judging.tug_of_war import tug_of_war
from amun_steps.steps.confidences import confidences
from amun_steps.steps.judge import COLUMNS, judge
from amun_steps.steps.score import Names
from amun_steps.store.arrays import write_arrays
from amun_steps.store.listing import write_listing
from amun_steps.training import stack as stacks

# ---- log odds --------------------------------------------------------------------------------------------------------


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


# ---- LiRA ------------------------------------------------------------------------------------------------------------


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


# ---- the challenge's epsilon ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_epsilon_is_the_largest_over_the_challenge_s_thresholds(seed):
    """On log odds that lie more than a grid's step apart, so that its thresholds miss none."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.03, 0.5, 17).cumsum()
    order = generator.permutation(17) if seed % 3 else np.r_[generator.permutation(12), generator.permutation(5) + 12]
    unlearned, retrained = values[order[:9]], values[order[9:]]
    if seed % 2:
        unlearned = unlearned.mean() + 3 * (unlearned - unlearned.mean())
    expected = literal_judges.epsilon(unlearned.tolist(), retrained.tolist())
    assert epsilons(unlearned[:, None], retrained[:, None]) == pytest.approx([expected])


def test_two_kinds_that_are_the_same_models_have_an_epsilon_of_nothing_and_the_whole_score():
    said = np.random.default_rng(0).normal(size=(20, 6))
    assert epsilons(said, said).tolist() == [0] * 6
    assert score(epsilons(said, said), 20, np.array([0.9, 0.8]), np.array([0.9, 0.8])) == 1


def test_two_kinds_that_never_overlap_have_the_largest_epsilon():
    generator = np.random.default_rng(0)
    low, high = generator.uniform(0, 1, (9, 3)), generator.uniform(2, 3, (7, 3))
    assert epsilons(low, high).tolist() == epsilons(high, low).tolist() == [50] * 3
    around = np.concatenate([low, high])  # of which an interval tells what lies between
    assert epsilons(around, 1.5 + 0.1 * (low - 0.5)).tolist() == [50] * 3


def test_models_that_all_say_nearly_the_same_have_the_largest_epsilon():
    wide = np.linspace(0, 1, 10)[:, None]
    assert epsilons(wide, 0.45 + 0.009 * wide) == 50
    assert epsilons(np.ones((4, 1)), np.ones((4, 1))) == 0  # no rule tells one point from itself


def test_an_interval_s_ends_reach_no_farther_than_two():
    """An interval from 0.2 to 13 would take in more of the narrow kind than of the wide one, but reaches too far."""
    narrow, wide = np.array([0.0, 0.5, 1.0, 3.05]), np.array([-10.0, 0.2, 0.7, 13.0])
    expected = literal_judges.epsilon(narrow.tolist(), wide.tolist())
    assert epsilons(narrow[:, None], wide[:, None]) == pytest.approx([expected])


def test_equal_gaussians_have_the_epsilon_of_chance():
    generator = np.random.default_rng(0)
    found = epsilons(*generator.normal(size=(2, 512, 150)))
    assert np.median(found) == pytest.approx(1.6, abs=0.1)
    assert points(found, 512).mean() == pytest.approx(0.185, abs=0.02)


@given(st.floats(0, 50), st.integers(3, 1000))
def test_points_are_halved_from_bucket_to_bucket_up_to_what_so_many_models_could_show(epsilon, models):
    assert points(np.array([epsilon]), models) == literal_judges.points(epsilon, models)


def test_the_score_is_the_points_times_what_was_kept():
    """Nine models: points up to ceil(log 8) = 3; 1, 1/2, 1/32 and nothing."""
    told = np.array([0.4, 0.5, 2.9, 3.0])
    expected = (1 + 1 / 2 + 1 / 32) / 4 * (0.9 / 1.0) * (0.8 / 0.9)
    assert score(told, 9, np.array([0.9, 0.8]), np.array([1.0, 0.9])) == pytest.approx(expected)
    assert math.isnan(score(told, 2, np.ones(2), np.ones(2)))


# ---- divergences and ToW ---------------------------------------------------------------------------------------------


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


# ---- the steps -------------------------------------------------------------------------------------------------------

SETS, COUNT, CLASSES = 2, 60, 4


def test_confidences_are_the_log_odds_of_the_models_one_by_one(tmp_path):
    files, data = toy.files(tmp_path, sets=1, count=5)
    models = stacks.load([files["originals"]], toy.CPU)
    paths = [tmp_path / f"reference{r}.safetensors" for r in range(5)]
    for r, path in enumerate(paths):
        stacks.save(models[[r]], path)
    listings = [tmp_path / "models0to1.sha256", tmp_path / "models2to4.sha256"]
    write_listing(listings[0], paths[:2])
    write_listing(listings[1], paths[2:])
    included = np.random.default_rng(0).random((5, len(data.labels))) < 0.5
    write_arrays(tmp_path / "inclusion.h5", {"inclusion": included})
    inputs = {"dataset": files["dataset"], "inclusion": tmp_path / "inclusion.h5", "listings": listings}
    confidences(**inputs, stack=2, output=tmp_path / "confidences.h5")
    with h5py.File(tmp_path / "confidences.h5") as file:
        assert (file["included"][:] == included).all()
        found = file["log_odds"][:]
    for r in range(5):
        logits = models[[r]].predict(toy.pool(data))[0].numpy()
        np.testing.assert_allclose(found[r], literal_judges.log_odds(logits, data.labels), rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def arrays():
    """60 samples, 40 for training, in two forget sets and tuning's; 10 references; per set, four retrained models."""
    generator = np.random.default_rng(0)
    labels, train = generator.integers(0, CLASSES, COUNT), np.arange(COUNT) < 40
    sets = np.zeros((SETS + 1, COUNT), dtype=bool)
    for row in sets:
        row[generator.choice(40, 10, replace=False)] = True
    tests = np.zeros_like(sets)
    tests[:, 40:] = generator.random((SETS + 1, 20)) < 0.7
    included = generator.random((10, COUNT)).argsort(axis=0) < 5
    references = generator.normal(2, 2, COUNT) + 1.5 * included + generator.normal(0, 1, (10, COUNT))

    def said(models):
        return (2 * np.eye(CLASSES)[labels] + generator.normal(0, 1, (models, COUNT, CLASSES))).astype(np.float32)

    return {
        "labels": labels, "train": train, "sets": sets, "tests": tests, "included": included, "references": references,
        "retrained": [said(4) for _ in range(SETS)], "unlearned": said(6), "originals": said(2),
    }  # fmt: skip


def judged(where, arrays, method="some", judges="all", **outputs):
    """The judgements, by set, original, run and judge, of `outputs`: by name, logits and the sets that they are for."""
    write_arrays(where / "dataset.h5", {"labels": arrays["labels"].astype(np.int16), "train": arrays["train"]})
    write_arrays(where / "forget.h5", {"forget": arrays["sets"], "test": arrays["tests"]})
    write_arrays(where / "confidences.h5", {"log_odds": arrays["references"], "included": arrays["included"]})

    def written(name, logits, which):
        numbers = {"original": [m % 2 for m in range(len(logits))], "set": which, "run": range(len(logits))}
        write_arrays(where / f"{name}.h5", {"logits": logits} | {k: np.array(list(v)) for k, v in numbers.items()})
        return where / f"{name}.h5"

    retrained = [written(f"set{s}", logits, [s] * 4) for s, logits in enumerate(arrays["retrained"])]
    judge(
        dataset=where / "dataset.h5",
        forget=where / "forget.h5",
        confidences=where / "confidences.h5",
        outputs=[written(name, *said) for name, said in outputs.items()] or retrained,
        retrained=retrained,
        names=Names("toy", "toy", "toy", method, "", "random", "0123456789ab"),
        judges=judges,
        output=where / "judged.csv",
    )
    found = pd.read_csv(where / "judged.csv", dtype={"address": str}, keep_default_na=False, na_values=[""])
    assert found.columns.tolist() == list(COLUMNS)
    assert (found.address == "0123456789ab").all()
    keys = found[["set", "original", "run"]].fillna(-1).astype(int)
    return dict(zip(zip(*keys.to_numpy().T.tolist(), found.judge, strict=True), found.value, strict=True))


def of_model(arrays, logits, which, others, references=slice(None)):
    """The judgements of one model against `others`, spelled out."""
    forget, test, alike = arrays["sets"][which], ~arrays["train"], arrays["tests"][which]
    remain = arrays["train"] & ~forget
    sure = literal_judges.log_odds(logits, arrays["labels"])
    members = literal_judges.lira(sure, arrays["references"][references], arrays["included"][references])
    told = sorted(members[alike])[::-1]
    assert len(told) < 100  # so that 1% of them is none
    right = [
        [literal.accuracy(m, arrays["labels"], of) / 100 for of in (forget, remain, test)] for m in [logits, *others]
    ]
    shares = [np.exp(m[forget]) / np.exp(m[forget]).sum(axis=1, keepdims=True) for m in [logits, *others]]
    pairs = [literal_judges.jensen_shannon(p, q) for of in shares[1:] for p, q in zip(shares[0], of, strict=True)]
    return {
        "lira_auc": literal.auc(members[forget], members[alike]),
        "lira_tpr_at_1_fpr": 100 * np.mean(members[forget] > told[0]),
        "tow": math.prod(1 - abs(a - b) for a, b in zip(right[0], np.mean(right[1:], axis=0), strict=True)),
        "jsd": np.mean(pairs),
    }


def of_models(arrays, unlearned, retrained, which):
    """The judgements of many models against many, spelled out."""
    labels, forget, test = arrays["labels"], arrays["sets"][which], ~arrays["train"]
    remain = arrays["train"] & ~forget
    u, r = (np.array([literal_judges.log_odds(m, labels) for m in of]) for of in (unlearned, retrained))
    told = epsilons(u[:, forget], r[:, forget])
    kept = [
        [np.mean([literal.accuracy(m, labels, of) for m in ms]) for of in (remain, test)]
        for ms in (unlearned, retrained)
    ]
    worth = np.mean([literal_judges.points(e, len(unlearned)) for e in told]) if len(unlearned) > 2 else math.nan
    far = np.array([literal_judges.klom(list(a), list(b)) for a, b in zip(u.T, r.T, strict=True)])
    found = {"epsilon": np.median(told), "epsilon_score": worth * kept[0][0] / kept[1][0] * kept[0][1] / kept[1][1]}
    for name, of in (("forget", forget), ("remain", remain), ("test", test)):
        found |= {f"klom_{name}": far[of].mean(), f"klom_{name}_95": np.percentile(far[of], 95)}
    return found


def keyed(found, which, original=-1, run=-1):
    return {(which, original, run, name): value for name, value in found.items()}


def test_runs_are_judged_against_the_models_retrained_without_the_same_set(arrays, tmp_path):
    which = [0, 0, 0, 1, 1, 1]
    expected = {}
    for m, s in enumerate(which):
        expected |= keyed(of_model(arrays, arrays["unlearned"][m], s, arrays["retrained"][s]), s, m % 2, m)
    for s in range(SETS):
        models = [m for m, of in zip(arrays["unlearned"], which, strict=True) if of == s]
        expected |= keyed(of_models(arrays, models, arrays["retrained"][s], s), s)
    assert judged(tmp_path, arrays, all=(arrays["unlearned"], which)) == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_originals_are_judged_for_every_set(arrays, tmp_path):
    expected = {}
    for s in range(SETS):
        for m, logits in enumerate(arrays["originals"]):
            expected |= keyed(of_model(arrays, logits, s, arrays["retrained"][s]), s, m, m)
        expected |= keyed(of_models(arrays, arrays["originals"], arrays["retrained"][s], s), s)
    found = judged(tmp_path, arrays, method="original", all=(arrays["originals"], [-1, -1]))
    assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_retrained_models_are_judged_against_the_others_and_by_halves(arrays, tmp_path):
    expected = {}
    for s, models in enumerate(arrays["retrained"]):
        for m in range(4):
            others = [models[other] for other in range(4) if other != m]
            expected |= keyed(of_model(arrays, models[m], s, others), s, m % 2, m)
        expected |= keyed(of_models(arrays, models[:2], models[2:], s), s)
    assert judged(tmp_path, arrays, method="retrained") == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_where_half_of_the_references_chose_the_other_half_judges(arrays, tmp_path):
    both = arrays | {"included": np.concatenate([arrays["included"], arrays["included"]])}
    both["references"] = np.concatenate([np.zeros_like(arrays["references"]), arrays["references"]])
    found = judged(tmp_path, both, judges="half", all=(arrays["unlearned"], [0] * 3 + [1] * 3))
    assert found == judged(tmp_path, arrays, all=(arrays["unlearned"], [0] * 3 + [1] * 3))


def test_a_run_that_diverged_has_no_judgement_and_a_retrained_model_that_did_is_no_standard(arrays, tmp_path):
    broken = arrays["unlearned"].copy()
    broken[0, 7] = np.nan
    retrained = [np.concatenate([logits[:3], np.full_like(logits[:1], np.inf)]) for logits in arrays["retrained"]]
    found = judged(tmp_path, arrays | {"retrained": retrained}, all=(broken, [0] * 3 + [1] * 3))
    assert all(np.isnan(value) for (s, _, run, _), value in found.items() if s == 0 and run in (0, -1))
    expected = keyed(of_model(arrays, broken[1], 0, arrays["retrained"][0][:3]), 0, 1, 1)
    expected |= keyed(of_models(arrays, broken[3:], arrays["retrained"][1][:3], 1), 1)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-5)


def test_a_retrained_model_that_is_alone_has_nothing_to_be_compared_with(arrays, tmp_path):
    alone = arrays | {"retrained": [logits[:1].repeat(4, axis=0) for logits in arrays["retrained"]]}
    for logits in alone["retrained"]:
        logits[1:] = np.nan
    found = judged(tmp_path, alone, method="retrained")
    assert np.isnan(found[0, 0, 0, "tow"])
    assert np.isnan(found[0, -1, -1, "klom_forget"])
    assert 0 <= found[0, 0, 0, "lira_auc"] <= 100
