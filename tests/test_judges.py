"""Other judges than the paper's, on arrays made by hand: each judgement by its literal definition."""

import math

import h5py
import literal
import literal_judges
import numpy as np
import pandas as pd
import pytest
import toy

from amun_steps.judging.epsilon import epsilons
from amun_steps.steps.confidences import confidences
from amun_steps.steps.judge import COLUMNS, judge
from amun_steps.steps.score import Names
from amun_steps.store.arrays import write_arrays
from amun_steps.store.listing import write_listing
from amun_steps.training import stack as stacks

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


def judged(where, arrays, method="some", judges="all", u_lira=False, **outputs):
    """The judgements, by set, original, run and judge, of `outputs`: by name, logits and the sets that they are for."""
    write_arrays(where / "dataset.h5", {"labels": arrays["labels"].astype(np.int16), "train": arrays["train"]})
    write_arrays(where / "forget.h5", {"forget": arrays["sets"], "test": arrays["tests"]})
    write_arrays(where / "confidences.h5", {"log_odds": arrays["references"], "included": arrays["included"]})

    def written(name, logits, which):
        numbers = {"original": [m % 2 for m in range(len(logits))], "set": which, "run": range(len(logits))}
        write_arrays(where / f"{name}.h5", {"logits": logits} | {k: np.array(list(v)) for k, v in numbers.items()})
        return where / f"{name}.h5"

    if "shadows" in arrays:
        write_arrays(where / "shadows.h5", arrays["shadows"])
    retrained = [written(f"set{s}", logits, [s] * 4) for s, logits in enumerate(arrays["retrained"])]
    judge(
        dataset=where / "dataset.h5",
        forget=where / "forget.h5",
        confidences=where / "confidences.h5",
        outputs=[written(name, *said) for name, said in outputs.items()] or retrained,
        retrained=retrained,
        names=Names("toy", "toy", "toy", method, "", "random", "0123456789ab"),
        judges=judges,
        shadows=where / ("shadows.h5" if "shadows" in arrays else "confidences.h5") if u_lira else None,
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


def of_shadows(arrays, logits, which, others, shadows):
    """U-LiRA's judgements of one model's D_F against that of `others`, spelled out."""
    forget, found = arrays["sets"][which], []
    said, forgotten, seen = (shadows[name][:, forget] for name in ("log_odds", "forgotten", "seen"))
    groups = [
        (said[f, n].tolist(), said[~s, n].tolist()) for n, (f, s) in enumerate(zip(forgotten.T, seen.T, strict=True))
    ]
    assert min(len(values) for both in groups for values in both) < 32
    common = np.mean([(x - np.mean(values)) ** 2 for both in groups for values in both for x in values])
    for models in ([logits], others):
        sure = [literal_judges.log_odds(m, arrays["labels"])[forget] for m in models]
        pairs = [(x, *both) for of in sure for x, both in zip(of, groups, strict=True)]
        found.append(np.array([literal_judges.u_lira(*pair, (common, common)) for pair in pairs]))
    allowed = np.sort(found[1])[::-1][len(found[1]) // 100]  # the first that is one too many
    return {"u_lira_auc": literal.auc(*found), "u_lira_tpr_at_1_fpr": 100 * np.mean(found[0] > allowed)}


def test_u_lira_tells_a_run_s_d_f_from_that_of_retrained_models(arrays, tmp_path):
    generator = np.random.default_rng(1)
    forgotten = arrays["included"] & arrays["sets"][np.arange(10) % 2]
    forgotten[:4] |= arrays["sets"][0] | arrays["sets"][1]  # so that each sample was forgotten by some
    seen = arrays["included"] | forgotten
    seen[8:] &= ~(arrays["sets"][0] | arrays["sets"][1])  # and was never seen by some
    forgotten &= seen
    shadows = {"log_odds": generator.normal(1, 2, (10, COUNT)), "forgotten": forgotten, "seen": seen}
    which = [0, 0, 0, 1, 1, 1]
    runs = judged(tmp_path, arrays | {"shadows": shadows}, u_lira=True, all=(arrays["unlearned"], which))
    for m, s in enumerate(which):
        expected = of_shadows(arrays, arrays["unlearned"][m], s, arrays["retrained"][s], shadows)
        found = {name: runs[s, m % 2, m, name] for name in expected}
        assert found == pytest.approx(expected, abs=1e-5)


def test_where_nothing_was_unlearned_the_references_are_u_lira_s_shadows(arrays, tmp_path):
    references = {"log_odds": arrays["references"]} | dict.fromkeys(("forgotten", "seen"), arrays["included"])
    found = judged(tmp_path, arrays, method="original", u_lira=True, all=(arrays["originals"], [-1, -1]))
    expected = of_shadows(arrays, arrays["originals"][1], 0, arrays["retrained"][0], references)
    assert {name: found[0, 1, 1, name] for name in expected} == pytest.approx(expected, abs=1e-5)
    found = judged(tmp_path, arrays, method="retrained", u_lira=True)
    models = arrays["retrained"][1]
    expected = of_shadows(arrays, models[2], 1, models[[0, 1, 3]], references)
    assert {name: found[1, 0, 2, name] for name in expected} == pytest.approx(expected, abs=1e-5)
