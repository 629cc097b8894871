"""Figures: the plotted numbers by hand, and the files."""

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from amun_steps.steps.choose import choices, choose
from amun_steps.store.addresses import canonical
from amun_steps.store.arrays import write_arrays
from amun_steps.views.figures import (
    Panel,
    confidence,
    draw_curves,
    draw_distances,
    draw_epsilons,
    draw_grid,
    draw_losses,
    draw_requests,
    figure,
)
from amun_steps.views.look import style_of
from amun_steps.views.tables import METHODS


@pytest.fixture
def axis():
    return Figure().subplots()


@given(st.lists(st.lists(st.floats(-6, 6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_confidence_is_the_log_odds_of_the_true_class(rows):
    logits = np.array(rows)
    labels = np.arange(len(rows)) % 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = p[np.arange(len(rows)), labels]
    np.testing.assert_allclose(confidence(logits, labels), np.log(true / (1 - true)), rtol=1e-6, atol=1e-6)


def test_confidence_is_finite_where_the_probability_rounds_to_one():
    assert confidence(np.array([[800.0, 0.0]]), np.array([0])) == 800


def test_requests_are_means_over_sequences_and_their_standard_errors(axis, tmp_path):
    rows = [
        {"set": which, "request": request, "ft_auc": ft, "fr_auc": 70.0}
        for request, values in ((1, ((49, 51), (54, 54), (50, 66))), (2, ((60, 60), (60, 60), (60, 60))))
        for which, runs in enumerate(values)
        for ft in runs  # of one sequence: not independent of each other
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "requests.csv")
    panel = Panel("requests", "", ["amun", "amun_adaptive"], [[0], [0]], "difference")
    found = draw_requests(axis, panel, [[tmp_path / "requests.csv"]] * 2)
    assert found.value.tolist() == [20, 16, 12, 10, 10, 10] * 2
    assert found["mean"].tolist() == [16, 16, 16, 10, 10, 10] * 2
    np.testing.assert_allclose(found.error, ([4 / np.sqrt(3)] * 3 + [0] * 3) * 2)
    assert axis.get_legend_handles_labels()[1] == ["AMUN", "AMUN-A"]


def test_fine_tuning_is_shown_for_one_panel_and_averaged_over_originals(axis, tmp_path):
    rows = [
        {"original": o, "panel": panel, "set": "adv", "epoch": e, "test_accuracy": 10 * o + e + (panel == "alone")}
        for o in range(2)
        for panel in ("alone", "with_data")
        for e in range(3)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "finetuned.csv")
    panel = Panel("curves", "", ["adv", "adv_rl"], [[0], [0]], "alone")  # the other, two classes have not
    found = draw_curves(axis, panel, [[tmp_path / "finetuned.csv"]] * 2)
    assert axis.get_legend_handles_labels()[1] == ["Adv"]
    assert found["mean"].tolist() == [6, 7, 8]
    assert found["max"].tolist() == [11, 12, 13]


@pytest.fixture
def sets(tmp_path):
    """Two files of adversarial sets of two samples each."""
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    write_arrays(paths[0], {"distance": np.r_[1.0, 2], "epsilon": np.r_[0.5, 1.0], "passes": np.r_[10, 70]})
    write_arrays(paths[1], {"distance": np.r_[2.0, 1], "epsilon": np.r_[0.5, 0.5], "passes": np.r_[10, 10]})
    return paths


def test_epsilons_are_shares_and_the_work_is_in_runs_of_the_attack(axis, sets):
    found = draw_epsilons(axis, Panel("epsilons", "", ["epsilon"], [[0, 1]], "50"), [sets])
    assert found.epsilon.tolist() == [0.5, 1.0]
    assert found.share.tolist() == [75, 25]
    assert found.runs_of_the_attack.tolist() == [0.5, 0.5]


def test_distances_count_the_points_above_the_line(axis, sets):
    found = draw_distances(axis, Panel("distances", "", ["one", "other"], [[0], [1]]), [sets[:1], sets[1:]])
    assert found.to_dict("list") == {"x": [1, 2], "y": [2, 1], "original": [0, 0]}
    both = draw_distances(axis, Panel("distances", "", ["one", "other"], [[0, 1], [1, 0]]), [sets, sets[::-1]])
    assert both.original.tolist() == [0, 0, 1, 1]
    assert [text.get_text() for text in axis.texts] == ["above the line: 50.0%"] * 2
    assert "one" in axis.get_xlabel()


def test_distances_of_attacks_that_found_nothing_are_none(axis, tmp_path):
    nothing = tmp_path / "nothing.h5"
    write_arrays(nothing, {"distance": np.full(2, np.nan)})
    found = draw_distances(axis, Panel("distances", "", ["one", "other"], [[0], [1]]), [[nothing], [nothing]])
    assert found.empty
    assert [text.get_text() for text in axis.texts] == ["found by neither"]


def test_methods_look_different_and_none_like_the_star_of_retrained_models():
    """Those of the shipped configs, and one's own, alike in all figures."""
    shipped = [style_of(name) for name in METHODS if name != "retrained"]
    assert len(set(shipped)) == len(shipped)
    own = [style_of(f"mine{number}") for number in range(100)]
    assert len(set(own)) > 25
    assert not {marker for _, marker, _ in [*shipped, *own]} & {"*"}
    assert not set(own) & set(shipped)


def test_a_figure_is_the_same_bytes_each_time_with_its_numbers_beside_it(tmp_path, sets):
    panels = [
        Panel("epsilons", "first", ["epsilon"], [[0, 1]], "50"),
        Panel("distances", "second", ["a", "b"], [[0], [1]]),
    ]
    written = []
    for number in range(2):
        files = {kind: tmp_path / str(number) / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
        figure(panels=panels, inputs=sets, **files)
        written.append([path.read_bytes() for path in files.values()])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"%PDF")
    assert written[0][1].startswith(b"\x89PNG")
    numbers = pd.read_csv(files["csv"])
    assert numbers.groupby("panel").title.unique().map(list).to_dict() == {1: ["first"], 2: ["second"]}


def test_confidence_panels_compare_remain_test_and_forget(tmp_path):
    labels = np.zeros(40, dtype=np.int16)
    train, forget = np.arange(40) < 30, np.zeros((2, 40), dtype=bool)
    forget[0, :10] = forget[1, 10:20] = True
    margin = np.where(forget[0], 1.0, np.where(train, 5.0, -2.0)) + np.linspace(0, 0.1, 40)
    logits = np.stack([np.stack([margin, np.zeros(40)], axis=1)] * 2).astype(np.float32)
    logits[1] = 0  # another model, which is not shown
    write_arrays(tmp_path / "outputs.h5", {"logits": logits})
    write_arrays(tmp_path / "forget.h5", {"forget": forget})
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["labels"], file["train"] = labels, train
    inputs = [tmp_path / name for name in ("outputs.h5", "dataset.h5", "forget.h5")]
    files = {kind: tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
    figure(panels=[Panel("confidence", "", ["phi"], [[0, 1, 2]])], inputs=inputs, **files)
    found = pd.read_csv(files["csv"]).groupby("part")["mean"].first()
    assert found.round(0).to_dict() == {"remain": 5, "test": -2, "forget": 1}


def test_losses_are_means_over_the_models_that_did_not_diverge(axis, tmp_path):
    write_arrays(tmp_path / "a.h5", {"training_loss": np.array([[4.0, 2.0], [2.0, 1.0], [3.0, np.nan]])})
    write_arrays(tmp_path / "b.h5", {"training_loss": np.array([[6.0, 3.0]])})
    write_arrays(tmp_path / "c.h5", {"training_loss": np.array([[np.inf, np.inf]])})
    files = [[tmp_path / "a.h5", tmp_path / "b.h5"], [tmp_path / "c.h5"]]
    found = draw_losses(axis, Panel("losses", "", ["ft", "ga"], [[0, 1], [2]]), files)
    assert found.to_dict("list") == {
        "name": ["ft", "ft"],
        "epoch": [1, 2],
        "mean": [4.0, 2.0],
        "min": [2.0, 1.0],
        "max": [6.0, 3.0],
    }


def test_a_grid_has_a_line_for_each_choice_of_the_rest_and_its_star(axis, tmp_path):
    grid = {"learning_rate": [0.1, 0.01, 0.001], "step": [None, 5], "ratio": [0.5]}
    gaps = iter([3.0, 5.0, 1.0, 3.0, None, 9.0, 2.0, 2.0, 7.0, 7.0, 8.0, 8.0])  # of two originals; one diverged
    rows = [
        {n: canonical(v) for n, v in point.items()} | {"original": original, "average_gap": next(gaps)}
        for point in choices(grid)
        for original in (0, 1)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "part.csv", index=False)
    files = tmp_path / "grid.csv", tmp_path / "best.json"
    choose(parts=[tmp_path / "part.csv"], grid=grid, on=[0, 1], whole=files[0], best=files[1])
    found = draw_grid(axis, Panel("grid", "", ["ft"], [[0, 1]]), [files])
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}

    measured = [4.0, 2.0, np.nan, 2.0, 7.0, 8.0]
    expected = {"step none": [], "step 5": []}
    for point, gap in zip(choices(grid), measured, strict=True):
        expected["step none" if point["step"] is None else "step 5"].append([point["learning_rate"], gap])

    for label, points in expected.items():
        np.testing.assert_array_equal(lines[label], sorted(points))
    assert lines["chosen"] == [[0.1, 2.0]]
    assert found.chosen.sum() == 1
    assert "stopped" not in lines


@pytest.mark.parametrize(
    ("grid", "label", "points"),
    [
        ({"soft": [True, False], "kind": ["a", "b"]}, "Choice", [[0, 4], [1, 3], [2, 5], [3, 6]]),
        ({"soft": [True, False], "alpha": [10.0, 1.0]}, "Alpha", [[10, 4], [10, 3], [1, 5], [1, 6]]),
    ],
)
def test_a_method_without_learning_rate_is_shown_over_what_is_a_number(axis, tmp_path, grid, label, points):
    grid = {"learning_rate": [0.0], "step": [None], **grid}
    gaps = iter([4.0, 3.0, 5.0, 6.0])
    rows = [
        {n: canonical(v) for n, v in point.items()} | {"original": 0, "average_gap": next(gaps)}
        for point in choices(grid)
    ]
    files = tmp_path / "part.csv", tmp_path / "grid.csv", tmp_path / "best.json"
    pd.DataFrame(rows).to_csv(files[0], index=False)
    choose(parts=files[:1], grid=grid, on=[0], whole=files[1], best=files[2])
    draw_grid(axis, Panel("grid", "", ["ssd"], [[0, 1]]), [files[1:]])
    drawn = [point for line in axis.lines if line.get_label() != "chosen" for point in line.get_xydata().tolist()]
    assert sorted(drawn) == sorted(points)
    assert axis.get_xlabel() == label


def test_choices_that_racing_stopped_are_crossed_out(axis, tmp_path):
    grid = {"learning_rate": [0.1, 0.01, 0.001], "step": [None]}
    files = tmp_path / "part.csv", tmp_path / "grid.csv", tmp_path / "best.json"
    files[0].write_text(
        "learning_rate,step,original,average_gap,stopped_after\n0.1,null,0,4,0\n0.01,null,0,3,\n"
        "0.01,null,1,5,\n0.001,null,0,2,\n0.001,null,1,8,\n"
    )
    choose(parts=files[:1], grid=grid, on=[0, 1], racing=0.6, whole=files[1], best=files[2])
    draw_grid(axis, Panel("grid", "", ["ft"], [[0, 1]]), [files[1:]])
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert lines["all"] == [[0.001, 5.0], [0.01, 4.0], [0.1, 4.0]]
    assert lines["stopped"] == [[0.1, 4.0]]
    assert lines["chosen"] == [[0.01, 4.0]]
