"""What a person sees when the real workflow fails or is interrupted: the step's own sentence, its log, how to go on."""

import os
import signal
import time
from pathlib import Path

import pytest
from running import clone, start

GO_ON = "the same command goes on from there."


@pytest.fixture
def where(tmp_path) -> Path:
    return clone(tmp_path / "clone")


def break_step(path: Path, function: str, body: str) -> None:
    """Put `body` after a step's docstring."""
    text = path.read_text()
    start = text.index(f"def {function}(")
    end = text.index('"""\n', text.index('"""', start) + 3) + 4
    path.write_text(text[:end] + f"    {body}\n" + text[end:])


def fail(where: Path, *arguments: str) -> str:
    """The output of a run of the workflow that fails."""
    running = start(where, *arguments)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 1, output
    return output


def log(where: Path, pattern: str) -> str:
    """The path of the one log that a pattern names, as the terminal shows it."""
    (path,) = (where / "results" / "logs").rglob(pattern)
    return path.relative_to(where).as_posix()


def test_jobs_that_fail_at_once_end_with_their_own_words_and_logs(where):
    """One with a message for a person, one with a traceback; the terminal shows neither commands nor tracebacks."""
    steps = where / "amun_steps" / "steps"
    break_step(steps / "forget.py", "fraction", 'raise InputError("no such set:\\nask for 2")')
    break_step(steps / "subsets.py", "inclusion", "{}['half']")
    output = fail(where, "--cores", "2", "--keep-going", "--until", "forget", "inclusion")
    told = output.split("\n\n")
    logs = {rule: log(where, f"{rule}*.log") for rule in ("random10", "inclusion")}
    assert set(told[-3:-1]) == {
        f"forget digits/random10/forget.h5 failed:\nno such set:\nask for 2\nlog: {logs['random10']}",
        f"inclusion digits/inclusion4/inclusion.h5 failed:\nKeyError: 'half'\nlog: {logs['inclusion']}",
    }
    assert told[-1].rstrip().endswith(GO_ON)
    assert "CalledProcessError" not in output
    assert "Traceback" not in output
    assert "done    dataset digits/dataset.h5" in output
    assert "Traceback" in (where / logs["inclusion"]).read_text()


def test_a_job_that_is_killed_is_said_to_be(where):
    break_step(where / "amun_steps" / "steps" / "dataset.py", "dataset", "import os; os.kill(os.getpid(), 9)")
    told = fail(where, "--cores", "1", "--until", "dataset").split("\n\n")
    why = "It was killed from outside by SIGKILL, as happens when memory runs out."
    assert told[-2] == f"dataset digits/dataset.h5 failed:\n{why}\nlog: {log(where, 'dataset.log')}"


def test_ctrl_c_ends_with_how_to_go_on_and_the_same_command_does(where):
    data = where / "amun_steps" / "steps" / "dataset.py"
    whole = data.read_text()
    break_step(data, "dataset", "import time; time.sleep(100)")
    running = start(where, "--cores", "1", "--until", "dataset")
    seen = ""
    while "start   dataset" not in seen:
        seen += running.stdout.readline()
    until = time.monotonic() + 60
    while not list((where / "results" / "logs").rglob("dataset.log")) and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode != 0
    assert output.strip() == f"Interrupted. What is finished stays, and {GO_ON}"
    data.write_text(whole)
    again = start(where, "--cores", "1", "--until", "dataset")
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
