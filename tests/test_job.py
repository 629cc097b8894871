"""Jobs in copies of a process that has imported everything: as if each were a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from running import clone, environment, start

from amun_steps.store.job import PRELOADED, THREADS, preload

STEP = """
import atexit, json, os, signal, sys, time
how = sys.argv[1]
said = {"pid": os.getpid(), "imported": "torch" in sys.modules, "argv": sys.argv, "cwd": os.getcwd(), "name": __name__}
said |= {"variable": os.environ.get("VARIABLE"), "interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN}
atexit.register(print, "at exit")
print(json.dumps(said), flush=how == "sleep")
print("problem", file=sys.stderr)
if how == "sleep":
    time.sleep(600)
elif how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "raise":
    raise KeyError("a key")
elif how != "well":
    sys.exit(int(how) if how.isdigit() else how)
"""
START = """
import os, sys
sys.path.insert(0, sys.argv[1])
from amun_steps.store import job
job.preload()
print(os.environ[job.PRELOADED], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> Path:
    """A clone with a step of our own."""
    where = clone(tmp_path_factory.mktemp("job") / "clone")
    (where / "amun_steps" / "steps" / "ours.py").write_text(STEP)
    return where


def started(environ: dict[str, str], where: Path) -> subprocess.Popen:
    """A process that preloads the code in a folder, as a workflow does, says where, and ends with its stdin."""
    command = [sys.executable, "-c", START, str(where)]
    environ = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(command, env=environ, cwd=where.parent, stdin=-1, stdout=-1, text=True)


@pytest.fixture
def preloaded(where):
    """The environment of a workflow's jobs, as long as the workflow runs, which is a process of its own."""
    environ = environment() | THREADS | {"PYTHONPATH": str(where), "VARIABLE": "first"}
    with started(environ, where) as run:
        yield environ | {PRELOADED: run.stdout.readline().strip()}
        run.stdin.close()
        assert run.wait(timeout=60) == 0


def command(how: str) -> list[str]:
    return [sys.executable, "-m", "amun_steps.store.job", "steps.ours", how]


def job(how: str, environ: dict[str, str], cwd: Path, **options) -> subprocess.Popen:
    """A job that Ctrl-C's signal reaches, also where the tests run in a background that ignores it."""
    options |= {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), "text": True, "stdout": -1}
    return subprocess.Popen(command(how), env=environ, cwd=cwd, **options)


def run(how: str, environ: dict[str, str], cwd: Path) -> tuple[int, dict, list[str], str]:
    """A job's exit status, what it says of itself, the lines after that, and its stderr."""
    with job(how, environ, cwd, stderr=-1) as running:
        said, problems = running.communicate()
    first, *rest = said.splitlines() or ["{}"]
    return running.returncode, json.loads(first), rest, problems


def test_a_job_is_as_in_a_process_of_its_own(preloaded, tmp_path):
    alone = {name: value for name, value in preloaded.items() if name != PRELOADED} | {"VARIABLE": "second"}
    ended = {"well": 0, "3": 3, "a sentence": 1, "raise": 1, "killed": -signal.SIGKILL}
    for how, expected in ended.items():
        here, copied = (run(how, environ, tmp_path) for environ in (alone, alone | {PRELOADED: preloaded[PRELOADED]}))
        assert here[0] == copied[0] == expected
        if how == "killed":  # before anything was flushed
            continue
        assert here[2] == copied[2] == ["at exit"]
        assert copied[3].splitlines()[0] == "problem"
        assert copied[3].splitlines()[-1] == here[3].splitlines()[-1]
        said, other = copied[1], here[1]
        assert said.pop("pid") != other.pop("pid")
        assert (said.pop("imported"), other.pop("imported")) == (True, False)
        assert said.pop("argv")[1:] == other.pop("argv")[1:] == [how]
        assert said == other == {"cwd": str(tmp_path), "name": "__main__", "variable": "second", "interrupt": False}


def test_jobs_run_side_by_side_and_one_that_is_killed_is_gone(preloaded, where):
    running = [job("sleep", preloaded, where) for _ in range(2)]
    copies = [json.loads(one.stdout.readline())["pid"] for one in running]
    assert len({*copies, *(one.pid for one in running)}) == 4
    assert run("well", preloaded, where)[0] == 0
    running[0].kill()
    running[0].wait()
    until = time.monotonic() + 60
    while Path(f"/proc/{copies[0]}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert [Path(f"/proc/{copy}").exists() for copy in copies] == [False, True]
    os.kill(copies[1], signal.SIGINT)  # as the terminal does, to all
    assert running[1].wait(timeout=60) == -signal.SIGINT
    for one in running:
        one.stdout.close()


def test_a_job_ends_also_when_its_workflow_has_ended_before(preloaded, where):
    """kill -9 of Snakemake alone leaves its jobs running, as ever."""
    with started(preloaded, where) as workflow:
        environ = preloaded | {PRELOADED: workflow.stdout.readline().strip()}
        asleep = job("sleep", environ, where)
        copy = json.loads(asleep.stdout.readline())["pid"]
        workflow.kill()
    assert asleep.poll() is None
    os.kill(copy, signal.SIGTERM)
    assert asleep.wait(timeout=60) == -signal.SIGTERM
    asleep.stdout.close()
    status, said, *_ = run("well", environ, where)  # nobody listens any more
    assert (status, said["imported"]) == (0, False)


def test_nothing_is_preloaded_where_the_system_does_not_tell_when_a_process_ends(monkeypatch):
    monkeypatch.delenv(PRELOADED, raising=False)
    monkeypatch.setattr(os, "pidfd_open", lambda process: os.close(-1))  # an OSError, as on old kernels
    preload()
    assert PRELOADED not in os.environ


def test_a_job_that_may_have_more_threads_imports_for_itself(preloaded, where):
    assert not run("well", preloaded | {"OMP_NUM_THREADS": "2"}, where)[1]["imported"]


def test_ctrl_c_that_a_workflow_ignores_its_jobs_ignore(preloaded, where):
    ignoring = ["bash", "-c", 'trap "" INT; exec "$@"', "bash", *command("well")]
    done = subprocess.run(ignoring, env=preloaded, cwd=where, text=True, capture_output=True, check=True)
    said = json.loads(done.stdout.splitlines()[0])
    assert said["imported"]
    assert said["interrupt"]


def test_snakemake_asks_for_a_look_at_its_jobs_only_when_there_is_something_to_see(where):
    """Not by one more thread for each look that it had."""
    running, most = start(where, "--cores", "1", "--until", "references", "originals", "retrained"), 0
    while running.poll() is None:
        with suppress(FileNotFoundError):
            most = max(most, len(os.listdir(f"/proc/{running.pid}/task")))
        time.sleep(0.05)
    said = running.stdout.read()
    running.stdout.close()
    assert running.returncode == 0, said
    assert "8 of 46 steps" in said
    assert said.index("originals: Train Acc") < said.index("start   references")  # the first result comes first
    assert most <= 4
