"""Running the real workflow in a clone of its own, as a user does; what several test files share."""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# A cluster without accounting and with a controller next door; elsewhere the profile's own values are right.
SLURM = ("--profile", "slurm", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1")
SLURM += ("--seconds-between-status-checks", "1", "--latency-wait", "5", "--jobs", "6")

REPOSITORY = Path(__file__).parent.parent
CONFIG = "tests/tiny.yaml"
TARGETS = ("results/tables/table1.csv", "results/runs/digits.csv", "results/figures/fig2.pdf", "results/claims.csv")
KILLS = int(os.environ.get("KILLS", "2"))


def clone(to: Path) -> Path:
    """A copy of the working tree's sources, without results."""
    for name in ("amun_steps", "workflow", "config", "slurm", "tests"):
        shutil.copytree(REPOSITORY / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def environment() -> dict[str, str]:
    """The environment of a user's shell."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}


def snakemake(where: Path, *arguments: str) -> str:
    """Run Snakemake as a user does; its output. Fails with that output when it fails."""
    command = [sys.executable, "-m", "snakemake", "--configfile", CONFIG, *arguments]
    done = subprocess.run(command, cwd=where, env=environment(), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def start(where: Path, *arguments: str, stdout=subprocess.PIPE) -> subprocess.Popen:
    """Snakemake as in a shell's foreground: with its jobs in a process group of its own that Ctrl-C reaches, also where
    the tests run in a background that ignores it; stdout and stderr are one."""
    command = [sys.executable, "-m", "snakemake", "--configfile", CONFIG, *arguments]
    return subprocess.Popen(
        command,
        cwd=where,
        env=environment(),
        text=True,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def planned(where: Path, *targets: str) -> dict[str, int]:
    """How many jobs of each rule Snakemake would run, for these files or for all."""
    output = snakemake(where, "--dry-run", "--cores", "1", "--quiet", "rules", "--", *targets)
    if "Nothing to be done" in output:
        return {}
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    assert table, output
    return {name: int(count) for name, count in (line.split() for line in table[1].strip().splitlines())}


def amun(where: Path, *arguments: str) -> str:
    """What `amun ...` prints in a clone. Fails with all its output when it fails."""
    command = [sys.executable, "-m", "amun_steps", *arguments]
    done = subprocess.run(command, cwd=where, env=environment(), text=True, capture_output=True, check=False)
    assert done.returncode == 0, " ".join((done.stdout + done.stderr).split())
    return done.stdout


def store(where: Path, *arguments: str) -> tuple[int, str]:
    """`amun store ...` in a clone: its exit code and what it prints."""
    command = [sys.executable, "-m", "amun_steps", "store", *arguments]
    done = subprocess.run(command, cwd=where, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def views(where: Path) -> dict[str, bytes]:
    """The tables, runs and figures, byte for byte."""
    files = [path for name in ("runs", "tables", "figures") for path in sorted((where / "results" / name).glob("*"))]
    return {path.name: path.read_bytes() for path in files if path.suffix != ".json"}


def until_killed(where: Path, after: float, by: signal.Signals, *arguments: str) -> bool:
    """Start the workflow and send it and its processes a signal after some seconds; whether it ended before, and well.

    Fails where it ends with exit code 0 and without its targets.
    """
    with open(where / "said.txt", "w") as said:
        running = start(where, *arguments, stdout=said)
    try:
        running.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, by)
        running.wait(timeout=300)
    if running.returncode == 0:
        missing = [path for path in TARGETS if not (where / path).is_file()]
        assert not missing, (where / "said.txt").read_text()
    return running.returncode == 0


def killed(where: Path, kills: int, seconds: tuple[float, float], *arguments: str) -> None:
    """Kill runs of the workflow `kills` times after so many seconds, by kill -9 and Ctrl-C's signal in turn.

    From nothing again whenever one ends before."""
    dice, signals = random.Random(0), itertools.cycle([signal.SIGKILL, signal.SIGINT])
    while kills:
        if until_killed(where, dice.uniform(*seconds), next(signals), *arguments):
            shutil.rmtree(where / "results")
        else:
            kills -= 1
            snakemake(where, "--unlock")


def check_store(where: Path) -> None:
    """Every artifact is whole, and what killed jobs left can be found and deleted."""
    assert store(where, "verify")[0] == 0
    left = [path for path in (where / "results").rglob(".*") if path.suffix != ".snakemake_timestamp"]
    kept = (
        ".table",
        ".fig",
        ".digits-",
        ".claims",
        ".comparison",
        ".leaderboard",
        ".overview",
        ".config",
        ".started",
        ".running",
    )
    left = [path for path in left if not path.name.startswith(kept)]
    long_ago = time.time() - 7200
    for path in [p for folder in left for p in (folder, *folder.rglob("*"))]:
        os.utime(path, (long_ago, long_ago))
    assert store(where, "gc", CONFIG, "--delete")[0] == 0
    assert [path for path in left if path.exists()] == []
    assert store(where, "verify")[0] == 0


def no_slurm() -> str | None:
    """Why no test can run on Slurm here; None where it takes jobs."""
    if shutil.which("sinfo") is None:
        return "Slurm's commands are not installed here"
    done = subprocess.run(["sinfo", "--noheader"], text=True, capture_output=True, check=False, timeout=30)
    return None if done.returncode == 0 else f"no Slurm controller answers here: {done.stderr.strip()}"
