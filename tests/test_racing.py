"""Racing: which choices of a grid go on to the next original; the choice is one that went the whole way."""

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import yaml
from running import CONFIG, REPOSITORY

from amun_steps.datasets import Sizes
from amun_steps.plan.jobs import Job
from amun_steps.plan.views import load
from amun_steps.plan.work import work_of
from amun_steps.steps.choose import choices, choose, going_on, read_grid, trial_count
from amun_steps.store.addresses import canonical

TINY = yaml.safe_load((REPOSITORY / CONFIG).read_text())
SHARES = (0.1, 0.25, 0.5, 0.7, 0.99)


def raced(gaps: list[list[float]], share: float) -> list[list[int]]:
    """The rule, read slowly: the choices that are tried on each original. gaps: of each choice, on each original."""
    on_each, left = [], [*range(len(gaps))]
    for original in range(len(gaps[0])):
        on_each.append(left)
        so_far = []
        for choice in left:
            mean = sum(gaps[choice][: original + 1]) / (original + 1)
            so_far.append((math.isnan(mean), 0.0 if math.isnan(mean) else mean, choice))
        so_far.sort()
        how_many = 0
        while how_many < share * len(left):
            how_many += 1
        left = sorted(choice for _, _, choice in so_far[:how_many])
    return on_each


def drawn(seed: int) -> np.ndarray:
    """(choices, originals) gaps in quarters of a point, with ties and runs that diverged."""
    generator = np.random.default_rng(seed)
    size = generator.integers(1, 30), generator.integers(1, 6)
    gaps = generator.integers(0, 12, size) / 4
    return np.where(generator.random(size) < generator.choice([0, 0.1, 0.6]), np.nan, gaps)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("seed", range(40))
def test_the_choices_that_go_on_are_those_of_the_rule_read_slowly(seed, share):
    gaps = drawn(seed)
    expected = raced(gaps.tolist(), share)
    found = [going_on(gaps[:, :tried], share).tolist() for tried in range(gaps.shape[1])]
    assert found == expected
    assert trial_count(*gaps.shape, share) == sum(map(len, expected))
    assert trial_count(*gaps.shape) == gaps.size
    known = np.full(gaps.shape, 1e9)  # what was not tried may be anything
    for original, left in enumerate(expected):
        assert going_on(known[:, :original], share).tolist() == left
        known[left, original] = gaps[left, original]


def test_of_four_choices_two_and_then_one_go_on():
    gaps = np.array([[4.0, 0.0, 0.0], [2.0, 9.0, 0.0], [3.0, 1.0, 0.0], [5.0, 0.0, 0.0]])
    assert going_on(gaps[:, :1], 0.5).tolist() == [1, 2]
    assert going_on(gaps[:, :2], 0.5).tolist() == [2]  # 2.0 against 5.5, though it was second
    assert trial_count(4, 3, 0.5) == 4 + 2 + 1


# ---- the step `choose` -----------------------------------------------------------------------------------------------


def chosen(where, gaps: np.ndarray, share: float | None) -> tuple[pd.DataFrame, dict, pd.DataFrame]:
    """What `read_grid` says of a grid with these (choices, originals) gaps, of which only what racing tries is there;
    and the CSV."""
    grid = {"learning_rate": [0.1 / (n + 1) for n in range(len(gaps))], "step": [None]}
    on = [2 * original + 1 for original in range(gaps.shape[1])]
    on_each = raced(gaps.tolist(), share) if share else [[*range(len(gaps))]] * len(on)
    rows = []
    for choice, point in enumerate(choices(grid)):
        tried = [k for k in range(len(on)) if choice in on_each[k]]
        for k in tried:
            row = {n: canonical(v) for n, v in point.items()} | {"original": on[k], "average_gap": gaps[choice, k]}
            mark = {"stopped_after": "" if len(tried) == len(on) else on[tried[-1]]} if share else {}
            rows.append(row | mark)
    pd.DataFrame(rows).to_csv(where / "part.csv", index=False)
    files = {"whole": where / "grid.csv", "best": where / "best.json"}
    choose(parts=[where / "part.csv"], grid=grid, on=on, racing=share, **files)
    return *read_grid(**files), pd.read_csv(files["whole"])


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("seed", range(8))
def test_the_choice_is_the_least_gap_of_those_that_were_tried_on_all_originals(seed, share, tmp_path):
    gaps = drawn(seed)
    rows, best, written = chosen(tmp_path, gaps, share)
    whole_way = raced(gaps.tolist(), share)[-1]
    assert np.flatnonzero(~rows.stopped).tolist() == whole_way
    (winner,) = np.flatnonzero(rows.chosen)
    assert best["learning_rate"] == rows.learning_rate[winner]
    assert winner in whole_way
    means = gaps[whole_way].mean(axis=1)
    if not np.isnan(means).all():
        assert gaps[winner].mean() == np.nanmin(means)
    of_each = written.groupby("learning_rate", sort=False)
    assert (of_each.size() == gaps.shape[1]).tolist() == (~rows.stopped).tolist()
    stopped = written[written.stopped_after.notna()].groupby("learning_rate")
    assert (stopped.original.max() == stopped.stopped_after.max()).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_choice_that_all_go_on_for_is_that_of_the_full_grid(seed, tmp_path):
    gaps = drawn(seed)
    everything, best, written = chosen(tmp_path, gaps, None)
    assert "stopped_after" not in written
    rows, raced_best, _ = chosen(tmp_path, gaps, 0.99)  # of fewer than a hundred, all
    pd.testing.assert_frame_equal(rows, everything)
    assert raced_best == best


def test_a_choice_that_stopped_does_not_win_by_its_first_originals(tmp_path):
    """Nor does one whose gap is the least where it was never tried."""
    gaps = np.array([[3.0, 9.0, 9.0], [1.0, 7.0, 7.0], [4.0, 0.0, 0.0], [2.0, 7.0, 6.0]])
    rows, _, written = chosen(tmp_path, gaps, 0.5)
    assert rows.chosen.tolist() == [False, True, False, False]  # 4.0 after two originals, the last row's 4.5
    assert rows.average_gap.tolist() == [3.0, 5.0, 4.0, 4.5]
    assert written.stopped_after.fillna(0).tolist() == [1, 0, 0, 0, 1, 3, 3]


def test_where_all_that_are_left_diverge_the_first_of_them_is_taken(tmp_path):
    gaps = np.array([[3.0, 1.0], [1.0, np.nan], [2.0, np.nan], [4.0, 1.0]])
    rows, _, _ = chosen(tmp_path, gaps, 0.5)
    assert rows.chosen.tolist() == [False, True, False, False]


def test_a_grid_that_did_not_race_as_it_should_is_an_error(tmp_path):
    chosen(tmp_path, np.zeros((4, 2)), None)
    grid = {"learning_rate": [0.1 / (n + 1) for n in range(4)], "step": [None]}
    with pytest.raises(ValueError, match="found 8 trials in 1 parts, expected 6 of 4 choices on 2 originals"):
        choose(
            parts=[tmp_path / "part.csv"], grid=grid, on=[1, 3], racing=0.5, whole=tmp_path / "g", best=tmp_path / "b"
        )


# ---- the plan --------------------------------------------------------------------------------------------------------


def test_racing_is_a_parameter_of_a_grid_that_is_tried_and_of_no_other_stage():
    config = deepcopy(TINY)
    config["tuning"]["originals"] = [0, 1]
    config["methods"] |= {"one": {"module": "ft", "grid": {"learning_rate": [0.1], "step": [None]}}}
    config["experiments"]["digits"]["methods"] = ["ft", "one"]
    config |= {"tables": {}, "figures": {}}
    before = load(config)
    config["tuning"]["racing"] = 0.5
    after = load(config)
    assert {s.name for s in after.stages.values()} == {s.name for s in before.stages.values()}
    changed = [after.stages[slug] for slug in after.stages.keys() - before.stages.keys()]
    assert {stage.kind for stage in changed} == {"tuned", "unlearned", "scores"}
    (tuned,) = (stage for stage in changed if stage.kind == "tuned")
    assert tuned.name == "ft-with_remain-random10-tuned"
    assert tuned.parameters["racing"] == 0.5
    assert "--racing 0.5" in tuned.options()


@pytest.mark.parametrize(("racing", "trials"), [(None, 6), (0.5, 4)])
def test_the_trials_that_are_planned_are_those_that_are_left(racing, trials):
    """Two choices on three originals: 2 + 2 + 2, or 2 + 1 + 1."""
    config = deepcopy(TINY)
    config["experiments"]["digits"]["originals"]["count"] = 3
    config["tuning"] |= {"originals": [0, 1, 2]} | ({"racing": racing} if racing else {})
    stage = load(config).experiments["digits"].tuned("ft", "with_remain", "random10")
    job = Job("tune", [], [stage.file("part0of1.csv")], {"part": "0", "parts": "1"}, {}, to_do=True)
    found = work_of(job, stage, Sizes(898, 899, (1, 8, 8), 10))
    assert dict(found.counts) == {"train": trials * 2 * 808, "predict": trials * 1797, "score": trials}
