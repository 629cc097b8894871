"""What it costs to find out that nothing is to be done: over the paper's DAG, against Snakemake's own dry run."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from ratios import Ratio, alternated

from amun_steps.plan.config_file import read
from amun_steps.plan.workflow import snakemake

PAPER = Path(__file__).parent.parent / "config" / "config.yaml"
DRY = ("--cores", "1", "--dry-run", "--quiet", "host")
EMPTY = """
rule all:
    input: [f"made/{{n}}" for n in range({jobs})]

rule empty:
    output: "made/{{n}}"
"""


def multiplied(config: dict[str, Any], times: int) -> dict[str, Any]:
    """A config whose experiments have `times` as many families of forget sets, each a little smaller than the last."""
    names = {family: [family, *(f"{family}_{k}" for k in range(1, times))] for family in config["forget"]}
    forget = {
        name: of | {"fraction": of["fraction"] * (1 - k / (2 * times))}
        for family, of in config["forget"].items()
        for k, name in enumerate(names[family])
    }
    experiments = {
        name: one | {"forget": [more for family in one["forget"] for more in names[family]]}
        for name, one in config["experiments"].items()
    }
    return config | {"forget": forget, "experiments": experiments}


def output_of(command: Sequence[str], where: Path) -> str:
    """All that a command says. Raises RuntimeError with it where the command fails."""
    done = subprocess.run(command, cwd=where, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr


def finished(command: Sequence[str], where: Path) -> int:
    """Make empty files of all that a workflow would make; how many jobs would have made them."""
    planned = output_of(command, where)
    for line in re.findall(r"^ +output: (.+)$", planned, re.MULTILINE):
        for file in line.split(", "):
            (where / file).parent.mkdir(parents=True, exist_ok=True)
            (where / file).touch()
    assert "Nothing to be done" in output_of(command, where)
    return int(re.search(r"^total +(\d+)$", planned, re.MULTILINE)[1])


def nothing_to_do(times: Sequence[int] = (1, 10), config: Path = PAPER, repeats: int = 5) -> list[Ratio]:
    """All of a config that is there, with some times as many forget sets; one rule without a command makes as many
    files for Snakemake alone."""
    rows = []
    for many in times:
        with tempfile.TemporaryDirectory() as name:
            ours, theirs = Path(name, "ours"), Path(name, "theirs")
            for folder in (ours, theirs):
                folder.mkdir()
            (ours / "config.yaml").write_text(yaml.safe_dump(multiplied(read(config), many)))
            planning = [*snakemake(), *DRY, "--configfile", "config.yaml"]
            jobs = finished(planning, ours)
            (theirs / "Snakefile").write_text(EMPTY.format(jobs=jobs - 1))
            alone = [sys.executable, "-m", "snakemake", *DRY]
            assert finished(alone, theirs) == jobs
            ways = {"ours": partial(output_of, planning, ours), "theirs": partial(output_of, alone, theirs)}
            taken = alternated(ways, repeats)
        against = f"Snakemake's own dry run of {jobs:,} jobs of an empty rule; forget sets x {many}"
        rows.append(Ratio.of_times(against, taken["ours"], taken["theirs"], 1 / 1.5))
    return rows
