"""What a step writes to its log while it runs."""

import logging
import subprocess
import sys
from itertools import count

import pytest
import torch
from toy import images, models, recipe

from amun_steps.store import progress
from amun_steps.store.progress import Progress, duration, span
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="amun_steps")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_is_written_when_one_is_due_and_at_the_end(said, clock):
    loop, asked = Progress("references 0 to 3", "epoch", 40, done=10), []
    for epoch in range(11, 41):
        clock[0] += 4.0
        loop.tell(epoch, 100, lambda epoch=epoch: asked.append(epoch) or f"mean loss {epoch / 100}")
    assert said()[0] == "references 0 to 3: epoch 13 of 40, mean loss 0.13, 25 images/s, 1 min 48 s left"
    assert said()[-1] == "references 0 to 3: epoch 40 of 40, mean loss 0.4, 25 images/s, 2 min 0 s in all"
    assert asked == list(range(13, 41, 3)), "the loss is read where a line is due, and nowhere else"


def test_a_fit_says_what_it_trains_and_who_diverged(said, monkeypatch):
    ticks = count(step=progress.EVERY + 1)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))
    pool, labels = images(32)
    samples = Samples.of(torch.arange(32), labels)
    members = [Member(lambda *_: [samples], Schedule(rate), 0) for rate in (0.01, 1e30)]
    losses = fit(models(2), pool, members, recipe(epochs=2), label="ft, random10, set 1")
    assert [line.split(",")[2] for line in said()[:2]] == [" set 1: epoch 1 of 2", " set 1: epoch 2 of 2"]
    assert said()[0].startswith("ft, random10, set 1: epoch 1 of 2, mean loss ")
    assert said()[2] == "ft, random10, set 1: 1 of 2 diverged (numbers from 0: 1)"
    assert losses[0].isfinite().all()


def test_times_and_spans_are_said_as_people_say_them():
    assert [duration(s) for s in (41.2, 200, 7500)] == ["41 s", "3 min 20 s", "2 h 5 min"]
    assert [span(3, 3), span(3, 7)] == ["3", "3 to 7"]


def test_a_step_s_command_line_writes_to_stderr_what_it_does(tmp_path):
    options = ("--source", "digits", "--parameters", '{"test_fraction": 0.5, "seed": 0}')
    command = [sys.executable, "-m", "amun_steps.steps.dataset", *options, "--output", str(tmp_path / "dataset.h5")]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    first, second, *_, last = done.stderr.splitlines()
    assert first.endswith(f"amun_steps.steps.dataset.dataset makes {tmp_path / 'dataset.h5'}")
    assert second.endswith('with {"folder":"","parameters":{"seed":0,"test_fraction":0.5},"source":"digits"}')
    assert "done in" in last
    assert not done.stdout
