"""The tiny config on a real Slurm cluster, wherever one answers: the tables are those of a local run, byte for byte."""

import re
import subprocess
from collections import Counter

import pytest
from running import SLURM, clone, no_slurm, snakemake, views

REASON = no_slurm()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def jobs() -> dict[str, dict[str, str]]:
    """What Slurm says of every job that it remembers, by job number."""
    text = subprocess.run(["scontrol", "show", "job"], text=True, capture_output=True, check=True).stdout
    records = [dict(re.findall(r"(\w+)=(\S*)", record)) for record in text.split("\n\n")]
    return {record["JobId"]: record for record in records if "JobId" in record}


def test_the_tables_are_those_of_a_local_run(finished, tmp_path):
    """With the repository's own profile; every stage asks for what the config says that its jobs are worth."""
    before = jobs()
    where = clone(tmp_path / "cluster")
    snakemake(where, *SLURM)
    assert views(where) == views(finished)
    ran = [job for number, job in jobs().items() if number not in before]
    assert len({job["NodeList"] for job in ran}) > 1
    rules = Counter(re.match(r"rule_([a-z]+)", job["Comment"])[1] for job in ran)
    assert rules["tune"] == 6
    for job in ran:
        asks_for_gpu = "gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")
        cpu_only = re.match(r"rule_(dataset|forget|inclusion|requests|choose|score)_", job["Comment"])
        assert asks_for_gpu == (not cpu_only), job
        assert job["TimeLimit"] == "00:05:00"
        assert "mem=1000M" in job["TRES"]
