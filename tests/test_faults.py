"""The workflow is killed at random moments, again and again: a start ends with all its targets or says that it did not.

KILLS (default 4) says how often; `make faults KILLS=50` is the long one.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from running import CONFIG, SLURM, clone, no_slurm, planned, snakemake, start, store, views

REASON = no_slurm()
KILLS = int(os.environ.get("KILLS", "4"))
TARGETS = ("results/tables/table1.csv", "results/runs/digits.csv", "results/figures/fig2.pdf", "results/claims.csv")


def until_killed(where: Path, dice: random.Random, number: int, *arguments: str) -> bool:
    """Start the workflow, and kill it and all its processes after some seconds; whether it ended before, and well.

    kill -9 and Ctrl-C's signal in turn. Fails where it ends with exit code 0 and without its targets.
    """
    with open(where / "said.txt", "w") as said:
        running = start(where, *arguments, stdout=said)
    try:
        running.wait(timeout=dice.uniform(3, 15))
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL if number % 2 else signal.SIGINT)
        running.wait(timeout=300)
    if running.returncode == 0:
        targets = arguments[arguments.index("--") + 1 :] if "--" in arguments else TARGETS
        missing = [path for path in targets if not (where / path).is_file()]
        assert not missing, (where / "said.txt").read_text()
    return running.returncode == 0


def killed(where: Path, kills: int, seed: int, *arguments: str) -> int:
    """Kill runs of the workflow `kills` times, from nothing again whenever one ends; how many ended."""
    dice, number, ended = random.Random(seed), 0, 0
    while number < kills:
        if until_killed(where, dice, number, *arguments):
            ended += 1
            shutil.rmtree(where / "results")
        else:
            number += 1
            snakemake(where, "--unlock")
    return ended


def check_store(where: Path) -> None:
    """Every artifact is whole, and what killed jobs left can be found and deleted."""
    assert store(where, "verify")[0] == 0
    left = [path for path in (where / "results").rglob(".*") if path.suffix != ".snakemake_timestamp"]
    kept = (".table", ".fig", ".digits-", ".claims", ".comparison", ".leaderboard", ".overview", ".config", ".running")
    left = [path for path in left if not path.name.startswith(kept)]
    long_ago = time.time() - 7200
    for path in [p for folder in left for p in (folder, *folder.rglob("*"))]:
        os.utime(path, (long_ago, long_ago))
    assert store(where, "gc", CONFIG, "--delete")[0] == 0
    assert [path for path in left if path.exists()] == []
    assert store(where, "verify")[0] == 0


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    """On one core; the finished clone was made on two."""
    where = clone(tmp_path / "clone")
    killed(where, KILLS, 0, "--cores", "1")
    snakemake(where, "--cores", "1")
    assert views(where) == views(finished)
    check_store(where)
    assert planned(where) == {}


@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_on_slurm_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    """Its jobs outlive a kill -9 of the workflow, and run beside their second start. One table: jobs start slowly."""
    where, table = clone(tmp_path / "clone"), "results/tables/table1.csv"
    killed(where, max(1, KILLS // 4), 1, *SLURM, "--", table)
    snakemake(where, *SLURM, "--", table)
    for _ in range(60):
        if not subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout.strip():
            break
        time.sleep(1)
    assert (where / table).read_bytes() == (finished / table).read_bytes()
    check_store(where)


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
