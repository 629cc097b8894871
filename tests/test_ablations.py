"""Continuous unlearning and the substitutes of D_A, on the outputs of the real workflow and by their definitions."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import images

from amun_steps.steps.finetune import on_sphere, other_labels
from amun_steps.steps.subsets import load_requests, requests
from amun_steps.store.arrays import write_arrays


@pytest.mark.parametrize(("fraction", "size"), [(0.02, 20), (0.15, 150)])
def test_requests_are_disjoint_subsets_of_the_training_set_of_the_asked_size(tmp_path, fraction, size):
    train = np.arange(1200) % 6 > 0
    write_arrays(tmp_path / "dataset.h5", {"labels": np.zeros(1200, np.int16), "train": train})
    options = {"name": "five", "fraction": fraction, "requests": 5, "sets": 3, "seed": 0}
    requests(dataset=tmp_path / "dataset.h5", **options, output=tmp_path / "requests.h5")
    found = load_requests(tmp_path / "requests.h5")
    assert found.shape == (3, 5, 1200)
    assert (found.sum(axis=2) == size).all()
    assert (found.sum(axis=1) <= 1).all()
    assert not found[:, :, ~train].any()
    assert not np.array_equal(found[0], found[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_other_labels_are_neither_the_label_nor_the_wrong_one(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (500,), generator=generator)
    wrong = (labels + torch.randint(1, 10, (500,), generator=generator)) % 10
    found = other_labels(labels, wrong, 10, generator)
    assert not ((found == labels) | (found == wrong)).any()
    assert len(found.unique()) == 10


def test_other_labels_are_uniform_over_the_rest():
    labels, wrong = torch.zeros(30_000, dtype=torch.long), torch.ones(30_000, dtype=torch.long)
    found = other_labels(labels, wrong, 5, torch.Generator().manual_seed(0))
    counts = torch.bincount(found, minlength=5)
    assert counts[:2].tolist() == [0, 0]
    assert ((counts[2:] - 10_000).abs() < 400).all()  # five standard deviations


def test_points_on_the_sphere_have_the_distance_and_no_preferred_direction():
    x = torch.full((4000, 1, 2, 2), 0.5)
    found = on_sphere(x, torch.full((4000,), 0.3), torch.Generator().manual_seed(0))
    torch.testing.assert_close((found - x).flatten(1).norm(dim=1), torch.full((4000,), 0.3))
    assert (found - x).mean(dim=0).abs().max() < 0.01
    near_the_edge = on_sphere(images(10)[0], torch.full((10,), 3.0), torch.Generator().manual_seed(0))
    assert near_the_edge.min() >= 0
    assert near_the_edge.max() <= 1


ADDRESS = 12 * "[0-9a-f]"


def only(finished, pattern: str):
    (path,) = (finished / "results" / "store").glob(f"**/{pattern}")
    return path


def test_every_sequence_is_scored_after_each_request(finished):
    files = sorted((finished / "results" / "store").rglob("requests.csv"))
    assert len(files) == 5  # ft; amun_salun and its adaptive form with and without D_R
    for path in files:
        rows = pd.read_csv(path)
        assert rows.groupby(["set", "original", "run"]).request.apply(list).tolist() == [[1, 2]] * 4
        assert rows.filter(like="auc").notna().all(axis=None)


def test_the_first_request_s_adversarial_examples_are_the_original_s_but_not_the_second_s(finished):
    """AMUN and AMUN-A then start from the same model, so that they differ from the second request on."""
    once, again = (
        pd.read_csv(only(finished, f"amun_salun-with_remain-*/{name}{12 * '[0-9a-f]'}/requests.csv")).set_index(
            "request"
        )
        for name in ("two_of_5-", "two_of_5-adaptive-")
    )
    columns = ["unlearn_accuracy", "retain_accuracy", "test_accuracy"]
    assert (once.loc[1, columns].to_numpy() == again.loc[1, columns].to_numpy()).all()
    assert (once.loc[2, "fr_auc"].to_numpy() != again.loc[2, "fr_auc"].to_numpy()).any()


def test_fine_tuning_begins_at_the_original_s_accuracy(finished):
    rows = pd.read_csv(only(finished, "finetuned.csv"))
    assert len(rows) == 2 * 3 * 6 * 5  # originals, panels, sets, epochs and the start
    begin = rows[rows.epoch == 0].groupby("original").test_accuracy.unique()
    assert begin.map(len).tolist() == [1, 1]
    with h5py.File(only(finished, "originals.h5")) as outputs, h5py.File(only(finished, "dataset.h5")) as data:
        test = ~data["train"][:]
        right = outputs["logits"][:].argmax(axis=2)[:, test] == data["labels"][:][test]
    np.testing.assert_allclose([values[0] for values in begin], 100 * right.mean(axis=1), atol=1e-4)
