"""What is to be forgotten: at random, listed in files, whole classes, or by memorisation."""

import re

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from running import CONFIG, REPOSITORY

from amun_steps.judging.rmia import prior, unbalanced_prior
from amun_steps.plan import views
from amun_steps.plan.forget import family_of
from amun_steps.plan.messages import ConfigError
from amun_steps.steps import forget as steps
from amun_steps.store.arrays import write_arrays
from amun_steps.store.lists import digest, numbers_of, read_list
from amun_steps.store.step import InputError

TRAIN, CLASSES = 60, 6
LABELS = np.r_[np.arange(TRAIN) % CLASSES, np.arange(30) % CLASSES]


@pytest.fixture
def dataset(tmp_path):
    """60 training and 30 test samples, each class ten and five times, named by their numbers."""
    path = tmp_path / "dataset.h5"
    names = np.array([f"train/{n}.png" if n < TRAIN else f"test/{n}.png" for n in range(90)], dtype="S")
    arrays = {"images": np.zeros((90, 1, 2, 2), dtype=np.uint8), "labels": LABELS.astype(np.int16)}
    write_arrays(path, arrays | {"train": np.arange(90) < TRAIN, "names": names})
    return path


def made(step, dataset, tmp_path, seed=0, **options):
    """The forget sets and the test samples that a step writes."""
    step(dataset=dataset, name="some", seed=seed, output=tmp_path / "forget.h5", **options)
    train = np.arange(90) < TRAIN
    return steps.load_forget(tmp_path / "forget.h5", train), steps.load_tests(tmp_path / "forget.h5", train)


def listed(tmp_path, *texts):
    """Files with these texts, as the options of `listed`."""
    files = [tmp_path / f"list{number}.csv" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return {"lists": files, "digests": [digest(read_list(file)) for file in files], "sets": len(files)}


# ---- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "3\n1\n2\n",
        "sample\n3\n1\n2",
        "# why\n\n3,cat\n1,dog\n2,cat\n",
        '"3"\n"1"\n"2"\n',
        "index,label\r\n3,a\r\n1,b\r\n2,c\r\n",
    ],
)
def test_a_list_is_the_first_column_of_a_text_or_csv_file(tmp_path, text):
    (tmp_path / "list").write_text(text, newline="")
    assert read_list(tmp_path / "list") == [3, 1, 2]


def test_a_list_is_the_same_in_whatever_order(tmp_path):
    assert digest([3, 1, "a/b.png"]) == digest(["a/b.png", 3, 1]) != digest([3, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "lists no sample"),
        (b"sample\n# 3\n", "lists no sample"),
        (b"1\n2\n\n1\n", r", line 4: 1 is listed twice, first in line 1"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_bad_list_is_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / "list").write_bytes(text)
    with pytest.raises(InputError, match=rf"^{re.escape(str(tmp_path / 'list'))}.*{message}"):
        read_list(tmp_path / "list")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1, 8], "8 is a test sample"),
        ([9], "found 9, expected a number below 8"),
        (["c"], "found 'c', expected one of the names"),
        ([0, "a"], "0 and a are the same sample"),
        (list(range(8)), "lists all 8 training samples"),
    ],
)
def test_what_cannot_be_forgotten_is_named(samples, message):
    with pytest.raises(InputError, match=f"^here: {message}"):
        numbers_of(samples, 8, 9, "here", ["a", "b", *"defghij"[:7]])
    with pytest.raises(InputError, match=r"^here: found 'a', expected a number below 8, since they have no names"):
        numbers_of(["a"], 8, 9, "here")


def test_listed_samples_are_forgotten_and_tuning_forgets_others_like_them(dataset, tmp_path):
    """By number and by name; three of class 0 and one of class 5: so has the tuning set, of other samples."""
    found, tests = made(steps.listed, dataset, tmp_path, **listed(tmp_path, "0\n6\ntrain/12.png\n5", "7"))
    assert [np.flatnonzero(row).tolist() for row in found[:2]] == [[0, 5, 6, 12], [7]]
    assert np.bincount(LABELS[found[2]], minlength=CLASSES).tolist() == [3, 0, 0, 0, 0, 1]
    assert not (found[2] & found[:2].any(axis=0)).any()
    assert (tests == (np.arange(90) >= TRAIN)).all()


def test_where_a_class_has_too_few_others_other_classes_make_up_for_it(dataset, tmp_path):
    of_class_0 = "\n".join(map(str, range(0, 54, 6)))  # nine of ten
    found, _ = made(steps.listed, dataset, tmp_path, **listed(tmp_path, of_class_0))
    assert found[1].sum() == 9
    assert np.bincount(LABELS[found[1]])[0] == 1
    assert not (found[1] & found[0]).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(map(str, range(30))), "leave 30 training samples, expected more than the 30"),
        ("60", r"forget.some.indices: .*list0.csv: 60 is a test sample"),
        ("train/60.png", "found 'train/60.png', expected one of the names"),
    ],
)
def test_a_list_that_the_data_do_not_have_is_an_error(dataset, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        made(steps.listed, dataset, tmp_path, **listed(tmp_path, text))


def test_a_list_that_changed_after_the_plan_is_an_error(dataset, tmp_path):
    options = listed(tmp_path, "1\n2")
    options["lists"][0].write_text("1\n3")
    with pytest.raises(InputError, match=r"list0.csv: was changed since"):
        made(steps.listed, dataset, tmp_path, **options)


# ---- classes ---------------------------------------------------------------------------------------------------------


def test_a_class_is_forgotten_whole_and_told_from_its_own_test_images(dataset, tmp_path):
    found, tests = made(steps.classes, dataset, tmp_path, classes=[[2], [0, 1]], sets=2)
    for row, test, wanted in zip(found, tests, ([2], [0, 1]), strict=False):
        assert (np.flatnonzero(row | test) == np.flatnonzero(np.isin(LABELS, wanted))).all()
    (tuning,) = np.unique(LABELS[found[2] | tests[2]])
    assert tuning in (3, 4, 5)
    assert found[2].sum() == 10
    assert tests[2].sum() == 5


@pytest.mark.parametrize(
    ("classes", "message"),
    [([[6]], "found 6, expected classes from 0 to 5"), ([[0, 1, 2]], "3 of 6 classes are left, expected more than 3")],
)
def test_classes_that_leave_too_few_are_an_error(dataset, tmp_path, classes, message):
    with pytest.raises(InputError, match=f"^forget.some.classes: {message}"):
        made(steps.classes, dataset, tmp_path, classes=classes, sets=1)


def test_a_class_without_test_images_is_neither_forgotten_nor_tuned_on(tmp_path):
    """Its forget set could be told from nothing."""
    labels, path = np.r_[LABELS[:TRAIN], np.resize([2, 4], 30)], tmp_path / "untested.h5"
    write_arrays(path, {"images": np.zeros((90, 1, 2, 2), np.uint8), "labels": labels, "train": np.arange(90) < TRAIN})
    for seed in range(5):
        found, tests = made(steps.classes, path, tmp_path, classes=[[2]], sets=1, seed=seed)
        assert np.unique(labels[found[1]]).tolist() == [4]
        assert tests.any(axis=1).all()
    with pytest.raises(InputError, match=r"^forget.some.classes: found 0, a class without test images"):
        made(steps.classes, path, tmp_path, classes=[[0]], sets=1)


# ---- memorisation ----------------------------------------------------------------------------------------------------


def test_memorisation_by_hand():
    """Sample 0 is right where it was seen and nowhere else; 1 always; 2 once of two and once of two; 3 never seen."""
    included = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    correct = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0], [0, 1, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(steps.memorisation(correct, included), [1, 0, 0, np.nan])


@given(st.integers(0, 2**32 - 1))
def test_memorisation_is_feldman_s_difference(seed):
    generator = np.random.default_rng(seed)
    correct, included = generator.random((2, 7, 9)) < 0.5
    found = steps.memorisation(correct, included)
    for sample in range(9):
        seen, unseen = correct[included[:, sample], sample], correct[~included[:, sample], sample]
        expected = seen.mean() - unseen.mean() if len(seen) and len(unseen) else np.nan
        np.testing.assert_allclose(found[sample], expected)


@pytest.mark.parametrize("memorised", ["high", "low"])
def test_the_most_and_the_least_memorised_are_shared_out_at_random(dataset, tmp_path, memorised):
    """By the first half of eight references: of 60 samples 12 are memorised by half, and others not, or less than that;
    what the second half says is the opposite and does not count."""
    signals, most = tmp_path / "signals.h5", np.arange(0, TRAIN, 5)
    included = np.arange(8)[:, None] % 2 == np.arange(90) % 2
    correct = np.ones((8, 90), dtype=bool)
    correct[:4, most] = included[:4, most]
    for sample in most[::2]:  # memorised by half: one of two models that did not see it is right
        correct[np.flatnonzero(~included[:4, sample])[0], sample] = True
    rest = np.setdiff1d(np.arange(TRAIN), most)
    correct[4:, rest] = included[4:, rest]
    write_arrays(signals, {"signals": np.ones((8, 90)), "correct": correct, "included": included})
    options = {"signals": signals, "memorised": memorised, "fraction": 4 / TRAIN, "sets": 2}
    found, tests = made(steps.memorised, dataset, tmp_path, **options)
    assert found.sum(axis=1).tolist() == [4, 4, 4]
    assert found.sum(axis=0).max() == 1
    chosen = np.flatnonzero(found.any(axis=0))
    assert (np.isin(chosen, most) == (memorised == "high")).all()
    assert (tests == (np.arange(90) >= TRAIN)).all()
    if memorised == "high":
        assert chosen.tolist() == most.tolist()
        by_half = found[:, most[::2]].sum(axis=1)
        assert sorted(by_half) != [0, 2, 4]  # the sets are alike: not the most memorised first


def test_a_prior_of_unbalanced_references_is_the_mean_of_in_and_out():
    generator = np.random.default_rng(0)
    signals, included = generator.random((6, 40)), generator.random((6, 40)) < 0.5
    included[:, 0], included[:, 1] = True, False
    expected = [
        np.mean([values[of].mean() for of in (inside, ~inside) if of.any()])
        for values, inside in zip(signals.T, included.T, strict=True)
    ]
    np.testing.assert_allclose(unbalanced_prior(signals, included), expected)
    balanced = np.arange(6)[:, None] % 2 == np.arange(40) % 2
    np.testing.assert_allclose(unbalanced_prior(signals, balanced), prior(signals))


# ---- in a config -----------------------------------------------------------------------------------------------------


def config(**families):
    """The tiny config with these families of forget sets in place of its own."""
    found = yaml.safe_load((REPOSITORY / CONFIG).read_text())
    found["forget"] = families
    digits = found["experiments"]["digits"]
    digits["forget"], digits["references"]["count"] = list(families), 8
    found["figures"] = {}
    found["tables"]["table1"]["forget"] = list(families)
    return found


def test_a_small_share_is_not_rounded_away():
    family = family_of({"fraction": 0.025, "sets": 1})
    assert (family.label, family.caption) == ("2.5%", "Random forget (2.5%)")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"fraction": 0.1}, "forget.some: "),
        ({"fraction": 0.1, "sets": 1, "classes": [3]}, "forget.some: "),
        ({"classes": [3], "sets": 1}, "forget.some: "),
        (
            {"memorised": "middle", "fraction": 0.1, "sets": 1},
            'forget.some.memorised: found "middle", expected high or low',
        ),
        ({"memorised": "high", "fraction": 0.4, "sets": 2}, "forget.some.fraction: found 0.4, which is 359 of 898"),
        ({"indices": "gone.txt"}, "forget.some.indices: gone.txt: cannot be read: No such file"),
        ({"indices": "test.txt"}, "forget.some.indices: test.txt: 898 is a test sample"),
        ({"indices": "twice.txt"}, "forget.some.indices: twice.txt, line 2: 5 is listed twice"),
        ({"indices": ["one.txt", "all.txt"]}, "forget.some.indices: all.txt: lists all 898 training samples"),
        (
            {"indices": "half.txt"},
            "forget.some.indices: the lists leave 449 training samples, expected more than the 449 of the first",
        ),
        ({"classes": [10]}, "forget.some.classes: found 10, expected classes from 0 to 9"),
        ({"classes": [[0, 1, 2, 3, 4]]}, "forget.some.classes: 5 of 10 classes are left, expected more than 5"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(family, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lists = {"one": "7", "test": "1\n898", "twice": "5\n5", "all": "\n".join(map(str, range(898)))}
    lists["half"] = "\n".join(map(str, range(449)))
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        views.load(config(some=family))


def test_too_few_references_cannot_choose_and_judge():
    wanted = config(some={"memorised": "low", "fraction": 0.05, "sets": 1})
    wanted["experiments"]["digits"]["references"]["count"] = 6
    with pytest.raises(ConfigError, match=r"^forget.some.memorised: found 6 references, expected at least 8"):
        views.load(wanted)


def test_families_that_would_be_called_alike_have_their_names(tmp_path):
    (tmp_path / "a.txt").write_text("1\n2")
    (tmp_path / "b.txt").write_text("3\n4")
    wanted = config(some={"indices": str(tmp_path / "a.txt")})
    wanted["forget"]["other"] = {"indices": str(tmp_path / "b.txt")}
    wanted["experiments"]["digits"]["forget"].append("other")
    found = views.load(wanted).experiments["digits"].families
    assert [found[name].label for name in ("some", "other")] == ["2 listed: some", "2 listed: other"]
    assert found["other"].caption == "2 listed samples: other"
    alone = views.load(config(some={"indices": str(tmp_path / "a.txt")})).experiments["digits"].families
    assert alone["some"].label == "2 listed"


def test_what_is_forgotten_is_part_of_the_address_by_content(tmp_path):
    def address(text, name="list.txt"):
        (tmp_path / name).write_text(text)
        return views.load(config(some={"indices": str(tmp_path / name)})).experiments["digits"].forget("some").address

    first = address("1\n2\n3")
    assert address("sample\n3\n2\n1") == address("1\n2\n3", "other.txt") == first
    assert address("1\n2\n4") != first
