"""Fine-tuning on D_A and on what could stand in its place: which samples, with which labels, beside which."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import toy

from amun_steps.steps.finetune import OTHERS, PANELS, SETS, finetune, joined
from amun_steps.store.arrays import write_arrays
from amun_steps.training.recipe import Schedule


def test_every_panel_and_set_by_hand():
    """Samples 0 to 3, of which 0 to 2 are for training and 1 and 2 are forgotten; x_adv at 10 and 11, x' at 12, 13.

    y = 5, 6 on D_F, y_adv = 7, 8 and y' = 3, 4. By 6.2.1, D_A = (x_adv, y_adv), D_ARS = (x', y_adv),
    D_ARL = (x_adv, y'), D_RL = (x, y') and D_AdvL = (x, y_adv).
    """
    train, forgotten = np.array([True, True, True, False]), np.array([False, True, True, False])
    labels = torch.tensor([9, 5, 6, 0])
    rows, wrong, other = np.array([1, 2]), torch.tensor([7, 8]), torch.tensor([3, 4])
    found = joined(train, forgotten, rows, labels, wrong, other, start=10)
    own = {
        "orig": [(1, 5), (2, 6)],
        "adv": [(10, 7), (11, 8)],
        "adv_rs": [(12, 7), (13, 8)],
        "adv_rl": [(10, 3), (11, 4)],
        "orig_rl": [(1, 3), (2, 4)],
        "orig_advl": [(1, 7), (2, 8)],
    }
    beside = {"with_data": [(0, 9), (1, 5), (2, 6)], "with_forget": [(1, 5), (2, 6)], "alone": []}
    assert list(found) == [(panel, name) for panel in PANELS for name in SETS]
    assert (set(beside), set(own)) == (set(PANELS), set(SETS))
    for (panel, name), samples in found.items():
        pairs = list(zip(samples.index.tolist(), samples.label.tolist(), strict=True))
        assert pairs == beside[panel] + own[name], (panel, name)
        assert samples.augment.tolist() == [True] * len(beside[panel]) + [False, False]
        assert samples.weight.tolist() == [1] * len(pairs)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toy.files(tmp_path_factory.mktemp("toy"), sets=2)


def tuned(made, where, *, dataset=None, forget=None, adversarial=None) -> pd.DataFrame:
    files, _ = made
    options = {"dataset": dataset or files["dataset"], "originals": files["originals"]}
    options |= {"forget": forget or files["forget"], "adversarial": adversarial or files["adversarial"]}
    plan = toy.recipe(epochs=3, batch_size=200)  # all samples at once: their order does not matter
    schedule = Schedule(0.1)
    finetune(**options, forget_name="random", recipe=plan, schedule=schedule, seed=0, output=where / "f.csv")
    return pd.read_csv(where / "f.csv")


def curve(rows: pd.DataFrame, name: str, panel: str = "alone") -> list[float]:
    return rows[(rows.panel == panel) & (rows["set"] == name)].sort_values(["original", "epoch"]).test_accuracy.tolist()


def test_of_two_classes_there_are_no_sets_with_a_third_label(made, tmp_path):
    """No label is neither an image's own nor its adversarial example's: the true one was taken."""
    files, data = made
    binary = {"images": data.images, "labels": (data.labels % 2).astype(np.int16), "train": data.train}
    write_arrays(tmp_path / "dataset.h5", binary)
    changed = []
    for path in files["adversarial"]:
        with h5py.File(path) as file:
            arrays = {name: values[:] for name, values in file.items()}
        changed.append(tmp_path / path.name)
        write_arrays(changed[-1], arrays | {"label": arrays["label"] % 2})
    rows = tuned(made, tmp_path, dataset=tmp_path / "dataset.h5", adversarial=changed)
    assert set(rows["set"]) == set(SETS) - set(OTHERS)
    assert set(tuned(made, tmp_path)["set"]) == set(SETS)


def test_the_first_forget_set_is_fine_tuned_on_and_never_the_one_of_tuning(made, tmp_path):
    with h5py.File(made[0]["forget"]) as file:
        sets = file["forget"][:]
    before = tuned(made, tmp_path)
    for row, same in ((1, True), (0, False)):
        other = sets.copy()
        other[row] = np.arange(120) < 20
        write_arrays(tmp_path / "forget.h5", {"forget": other})
        assert tuned(made, tmp_path, forget=tmp_path / "forget.h5").equals(before) == same


def test_points_on_spheres_have_the_distance_of_the_adversarial_examples(made, tmp_path):
    """Where these lie on their samples, so do those: then D_ARS is D_A is D_AdvL."""
    _, data = made
    near = tuned(made, tmp_path)
    assert curve(near, "adv_rs") == curve(near, "adv") == curve(near, "orig_advl")
    for o in range(2):
        label = (data.labels[data.train] + 1 + o) % 10
        image = (toy.pool(data)[data.train] + 0.3).clamp(0, 1).numpy()
        write_arrays(tmp_path / f"{o}.h5", {"image": image, "label": label, "distance": np.zeros(len(label))})
    far = tuned(made, tmp_path, adversarial=[tmp_path / f"{o}.h5" for o in range(2)])
    assert curve(far, "orig_advl") == curve(near, "orig_advl")
    assert curve(far, "adv") != curve(near, "adv")
    assert curve(far, "adv_rs") != curve(near, "adv_rs")
    assert curve(far, "adv_rs") != curve(far, "adv")


def test_each_original_is_fine_tuned_on_its_own_adversarial_examples(made, tmp_path):
    paths = made[0]["adversarial"]
    before, swapped = tuned(made, tmp_path), tuned(made, tmp_path, adversarial=[paths[0], paths[0]])
    halves = [len(curve(before, "adv")) // 2, None]
    assert curve(before, "adv")[: halves[0]] == curve(swapped, "adv")[: halves[0]]
    assert curve(before, "adv") != curve(swapped, "adv")
    assert curve(before, "orig") == curve(swapped, "orig")
