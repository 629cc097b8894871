import fcntl
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from running import clone, snakemake

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Mark the files that run the workflow, and put them first: they are long, and others fill the cores at the end."""
    for item in items:
        if "finished" in item.fixturenames or "from running import" in item.path.read_text(encoding="utf-8"):
            item.add_marker(pytest.mark.workflow)
    items.sort(key=lambda item: "workflow" not in item.keywords)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A clone with all results of the tiny config, made with two cores; once for all processes of pytest-xdist, each of
    which has a copy of its own."""
    where, base = tmp_path_factory.mktemp("workflow") / "clone", tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with open(made.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            snakemake(clone(where), "--cores", "2")
            shutil.copytree(where, made.with_suffix(".part"), symlinks=True).rename(made)
            return where
    shutil.copytree(made, where, symlinks=True)
    return where
