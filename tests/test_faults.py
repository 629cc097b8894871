"""The workflow is killed at random moments, again and again: a start ends with all its targets or says that it did not.

KILLS (default 2) says how often; `make faults KILLS=50` is the long one, and kills runs on Slurm, too (test_slurm.py).
"""

import shutil
from pathlib import Path

import pytest
from running import KILLS, check_store, clone, killed, planned, snakemake, start, views


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    """On one core; the finished clone was made on two."""
    where = clone(tmp_path / "clone")
    killed(where, KILLS, (3, 15), "--cores", "1")
    snakemake(where, "--cores", "1")
    assert views(where) == views(finished)
    check_store(where)
    assert planned(where) == {}


def test_a_run_that_was_not_looked_at_to_its_end_fails(finished, tmp_path):
    """--forcerun hides what is downstream: Snakemake ends well, without the table that it was asked for."""
    where = tmp_path / "copy"
    shutil.copytree(finished, where, symlinks=True)
    (where / "results" / "tables" / "table1.csv").unlink()
    running = start(where, "--cores", "1", "--forcerun", "inclusion", "--", "results/tables/table1.csv")
    said, _ = running.communicate(timeout=300)
    if (where / "results" / "tables" / "table1.csv").is_file():
        assert running.returncode == 0, said
    else:
        assert running.returncode != 0
        assert "results/tables/table1.csv: not made yet; start the same command again" in said
    snakemake(where, "--cores", "1", "--", "results/tables/table1.csv")
    assert views(where)["table1.csv"] == views(finished)["table1.csv"]


@pytest.mark.parametrize("half", ["results/figures/fig4.csv", "results/figures/fig4.pdf", "results/tables/table1.md"])
def test_a_view_of_which_a_killed_job_left_half_is_made_again(finished, tmp_path, half):
    where = tmp_path / "copy"
    shutil.copytree(finished, where, symlinks=True)
    kind, name = Path(half).parent.name, Path(half).stem
    for path in (where / "results" / kind).glob(f"*{name}[-.]*"):
        if path != where / half:
            path.unlink()
    assert sum(planned(where).values()) >= 2  # the view and `all`
