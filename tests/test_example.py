"""The example of docs/example: what its script writes is what its config wants."""

import shutil
import subprocess
import sys

import numpy as np
from running import REPOSITORY, environment

from amun_steps.plan.networks import try_networks
from amun_steps.plan.views import load_file


def test_the_script_writes_what_the_config_wants(tmp_path, monkeypatch):
    shutil.copytree(REPOSITORY / "docs" / "example", tmp_path / "docs" / "example")
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "docs/example/train.py"]
    models = set()
    for threads in ("1", "3"):
        here = environment() | {"OMP_NUM_THREADS": threads}
        done = subprocess.run(command, env=here, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        models.add((tmp_path / "data/example/model.pt").read_bytes())
    assert len(models) == 1, "the numbers of the page are those of any number of cores"
    plan = load_file(tmp_path / "docs/example/config.yaml")
    try_networks(plan)
    stages = plan.experiments["mine"]
    listed = [int(line) for line in (tmp_path / "data/example/asked.txt").read_text().split()]
    assert listed == list(range(30))
    with np.load("data/example/digits.npz") as file:
        assert file["train"].sum() == 300
    assert stages.forget("asked").parameters["sets"] == 1
