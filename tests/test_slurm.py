"""The tiny config on a real Slurm cluster, wherever one answers: killed, and then to its end, as a local run.

One run for both, because jobs start slowly there.
"""

import re
import subprocess
import time
from collections import Counter

import pytest
from running import KILLS, SLURM, check_store, clone, killed, no_slurm, snakemake, views

REASON = no_slurm()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def jobs() -> dict[str, dict[str, str]]:
    """What Slurm says of every job that it remembers, by job number."""
    text = subprocess.run(["scontrol", "show", "job"], text=True, capture_output=True, check=True).stdout
    records = [dict(re.findall(r"(\w+)=(\S*)", record)) for record in text.split("\n\n")]
    return {record["JobId"]: record for record in records if "JobId" in record}


def none_left() -> bool:
    return not subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout.strip()


def test_a_run_that_is_killed_ends_with_the_bytes_of_a_local_run(finished, tmp_path):
    """Its jobs outlive a kill -9 of the workflow, and run beside their second start.

    With the repository's own profile; every stage asks for what the config says that its jobs are worth.
    """
    before = jobs()
    where = clone(tmp_path / "cluster")
    killed(where, max(1, KILLS // 4), (10, 30), *SLURM)
    snakemake(where, *SLURM)
    for _ in range(60):
        if none_left():
            break
        time.sleep(1)
    assert views(where) == views(finished)
    check_store(where)
    ran = [job for number, job in jobs().items() if number not in before]
    assert len({job["NodeList"] for job in ran}) > 1
    different = {job["Comment"] for job in ran}  # one that a kill came in between ran twice
    assert Counter(re.match(r"rule_([a-z]+)", comment)[1] for comment in different)["tune"] == 6
    for job in ran:
        asks_for_gpu = "gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")
        cpu_only = re.match(r"rule_(dataset|forget|inclusion|requests|choose|score)_", job["Comment"])
        assert asks_for_gpu == (not cpu_only), job
        assert job["TimeLimit"] == "00:05:00"
        assert "mem=1000M" in job["TRES"]
