"""All runs in one table: gaps by hand, what stays text, and what is said of files that will not do."""

from pathlib import Path

import pandas as pd
import pytest

from amun_steps.views.runs import collect, runs

HEADER = "experiment,method,access,forget,set,original,run,hyperparameters"
HEADER += ",unlearn_accuracy,retain_accuracy,test_accuracy,ft_auc,mis,diverged,seed,address"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def retrained(tmp_path) -> Path:
    """Two models for set 0, with the means 91, 99, 90, 50 and 12, and one for set 1."""
    return write(
        tmp_path / "retrained.csv",
        "toy,retrained,,random10,0,,0,{},90,100,89,49,10,False,1,00000000000a",
        "toy,retrained,,random10,0,,1,{},92,98,91,51,14,False,2,00000000000a",
        "toy,retrained,,random10,1,,0,{},50,60,70,40,30,False,3,00000000000a",
    )


def test_a_gap_is_the_distance_from_the_mean_of_the_models_retrained_without_the_same_set(tmp_path, retrained):
    ft = write(
        tmp_path / "ft.csv",
        "toy,ft,with_remain,random10,0,0,0,{},95,97,91,53,9,False,4,00000000000b",
        "toy,ft,with_remain,random10,1,0,0,{},95,97,91,53,9,False,5,00000000000b",
    )
    found = collect([ft, retrained])
    assert list(found.method) == ["ft"] * 2 + ["retrained"] * 3  # the order of the files and of their rows
    assert list(found.average_gap_ft_auc[:2]) == [
        (4 + 2 + 1 + 3) / 4,
        (45 + 37 + 21 + 13) / 4,
    ]
    assert list(found.average_gap_mis[:2]) == [
        (4 + 2 + 1 + 3) / 4,
        (45 + 37 + 21 + 21) / 4,
    ]


def test_a_replicate_has_retrained_models_of_its_own(tmp_path, retrained):
    again = write(tmp_path / "again.csv", "toy,retrained,,random10,0,,0,{},80,90,80,60,20,False,1,00000000000c")
    ft = write(tmp_path / "ft.csv", "toy,ft,with_remain,random10,0,0,0,{},90,90,80,60,20,False,4,00000000000b")
    found = collect([retrained, ft, again, ft], [0, 0, 1, 1])
    assert found.replicate.tolist() == [0] * 4 + [1] * 2
    assert found.average_gap_ft_auc[found.method == "ft"].tolist() == [(1 + 9 + 10 + 10) / 4, 10 / 4]
    runs(runs=[retrained, ft, again, ft], replicates=[0, 0, 1, 1], output=tmp_path / "all.csv")
    assert collect([tmp_path / "all.csv"]).replicate.tolist() == found.replicate.tolist()
    with pytest.raises(ValueError, match=r"toy: no retrained model for forget set 1 of random10.*sets: 0$"):
        collect([again, write(tmp_path / "b.csv", "toy,ft,with_remain,random10,1,0,0,{},9,9,8,6,2,False,4,b")], [1, 1])


def test_retrained_models_have_no_gap(retrained):
    assert collect([retrained]).filter(like="average_gap").isna().all(axis=None)


def test_original_models_have_a_gap(tmp_path, retrained):
    original = write(tmp_path / "o.csv", "toy,original,,random10,0,0,,{},100,100,91,60,2,False,4,00000000000b")
    found = collect([retrained, original]).iloc[-1]
    assert found.average_gap_ft_auc == (9 + 1 + 1 + 10) / 4
    assert found.access == ""
    assert pd.isna(found.run)


def test_a_diverged_run_has_no_gap_and_a_diverged_retrained_model_is_in_no_mean(tmp_path, retrained):
    more = write(
        tmp_path / "more.csv",
        "toy,retrained,,random10,0,,2,{},,,,,,True,1,00000000000a",
        "toy,ga,with_remain,random10,0,0,0,{},,,,,,True,4,00000000000b",
        "toy,ga,with_remain,random10,0,0,1,{},91,99,90,52,12,False,5,00000000000b",
    )
    found = collect([retrained, more]).iloc[-2:]
    assert found.average_gap_ft_auc.isna().tolist() == [True, False]
    assert found.average_gap_ft_auc.iloc[1] == 0.5
    assert found.average_gap_mis.iloc[1] == 0


def test_no_run_has_a_gap_where_all_retrained_models_diverged(tmp_path):
    path = write(
        tmp_path / "runs.csv",
        "toy,retrained,,random10,0,,0,{},,,,,,True,1,00000000000a",
        "toy,ft,with_remain,random10,0,0,0,{},91,99,90,52,12,False,5,00000000000b",
    )
    assert collect([path]).average_gap_ft_auc.isna().all()


@pytest.mark.parametrize("text", ["012345678901", "12e345678901", "123456789012"])
def test_an_address_of_digits_stays_what_it_is(tmp_path, retrained, text):
    path = write(tmp_path / "ft.csv", f"toy,ft,with_remain,random10,0,0,0,{{}},95,97,91,53,9,False,4,{text}")
    runs(runs=[path, retrained], output=tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text().splitlines()[1].split(",")[-4] == text


@pytest.mark.parametrize("name", ["NA", "nan", "null", "1"])
def test_names_are_text_whatever_they_look_like(tmp_path, name):
    row = "{name},{method},,{name},0,,0,{{}},1,2,3,4,5,False,1,a"
    rows = [row.format(name=name, method=method) for method in ("retrained", name)]
    found = collect([write(tmp_path / "runs.csv", *rows)])
    assert found[["experiment", "forget"]].eq(name).all(axis=None)
    assert found.method.iloc[1] == name
    assert found.average_gap_mis.iloc[1] == 0


def test_a_file_without_a_column_is_named_with_what_it_has_and_lacks(tmp_path, retrained):
    path = write(tmp_path / "old.csv", "ft,1", header="method,ft_auc")
    with pytest.raises(ValueError, match=r"old\.csv: .*lacks the columns experiment, .*, mis,.* found method, ft_auc;"):
        collect([retrained, path])


def test_a_set_without_retrained_models_is_named_with_the_sets_that_have_some(tmp_path, retrained):
    ft = write(tmp_path / "ft.csv", "toy,ft,with_remain,random10,2,0,0,{},95,97,91,53,9,False,4,00000000000b")
    with pytest.raises(ValueError, match=r"toy: no retrained model for forget set 2 of random10.*sets: 0, 1$"):
        collect([retrained, ft])
    other = write(tmp_path / "other.csv", "other,ft,with_remain,random10,0,0,0,{},95,97,91,53,9,False,4,b")
    with pytest.raises(ValueError, match=r"other: no retrained model for forget set 0 of random10.*sets: none$"):
        collect([retrained, other])


def test_the_step_writes_the_same_bytes_each_time_and_reads_what_it_wrote(tmp_path, retrained):
    once, again, twice = (tmp_path / name for name in ("once.csv", "again.csv", "twice.csv"))
    runs(runs=[retrained], output=once)
    runs(runs=[retrained], output=again)
    assert once.read_bytes() == again.read_bytes()
    assert b"\r" not in once.read_bytes()
    assert once.read_text().splitlines()[1] == (
        "toy,retrained,,random10,0,,0,{},90,100,89,49,10,False,1,00000000000a,0,,"
    )
    runs(runs=[once], output=twice)
    assert twice.read_bytes() == once.read_bytes()
