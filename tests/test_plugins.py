"""Methods, networks and readers in a person's own folder: found, checked and part of addresses like the package's."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import yaml
from running import CONFIG, REPOSITORY, clone, environment, planned, snakemake

from amun_steps.plan import views
from amun_steps.plan.messages import ConfigError
from amun_steps.store import addresses
from amun_steps.store.plugins import PLUGINS

METHOD = '''"""Ascent on D_F."""

from amun_steps.methods import Request, Update
from amun_steps.methods.turned import turned

NEEDS = ()


def unlearn(request: Request) -> Update:
    """Each epoch: D_F with the loss negated."""
    return Update(lambda generator, epoch: [turned(request.forget)])
'''
HELPER = '''"""What the method imports from beside it."""


def turned(samples):
    return -samples
'''
NETWORK = '''"""A perceptron."""

import math

from pydantic import PositiveInt
from torch import nn


def build(shape: tuple[int, int, int], classes: int, *, width: PositiveInt) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.ReLU(), nn.Linear(width, classes))
'''
READER = '''"""Two classes of noise."""

import numpy as np


def read(*, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many images."""
    images = np.random.default_rng(0).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return images, np.arange(count) % 2, np.arange(count) < count // 2
'''


@pytest.fixture
def folder(tmp_path):
    """A folder with a method, the module beside it that it imports, a network and a reader."""
    root = tmp_path / "mine"
    files = {"methods/ascent.py": METHOD, "methods/turned.py": HELPER, "models/mlp.py": NETWORK}
    for name, text in (files | {"datasets/noise.py": READER}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    yield root
    PLUGINS.use(None)


def config(folder: Path) -> dict:
    """The tiny config with the method in it."""
    given = yaml.safe_load((REPOSITORY / CONFIG).read_text())
    given["plugins"] = str(folder)
    given["methods"]["ascent"] = {}
    given["experiments"]["digits"]["methods"].append("ascent")
    return given


def addresses_of(folder: Path) -> dict[str, str]:
    """The addresses of two methods' tuning, as in a new process."""
    addresses._syntax.cache_clear()
    plan = views.load(config(folder))
    digits = plan.experiments["digits"]
    return {m: digits.tuned(m, "with_remain", "random10").address for m in ("ft", "ascent")}


def test_a_plugin_and_what_it_imports_are_part_of_its_address_and_of_no_other(folder, tmp_path):
    before = addresses_of(folder)
    (folder / "methods/turned.py").write_text(HELPER.replace("return", "# why\n    return"))
    assert addresses_of(folder) == before
    moved = folder.rename(tmp_path / "elsewhere")
    assert addresses_of(moved) == before
    (moved / "methods/turned.py").write_text(HELPER.replace("-samples", "samples"))
    after = addresses_of(moved)
    assert after["ft"] == before["ft"]
    assert after["ascent"] != before["ascent"]


def test_a_method_is_the_same_in_the_folder_and_in_the_package(folder, tmp_path):
    """What was computed with a plug-in stays valid when it becomes a part of the package."""
    where = clone(tmp_path / "clone")
    for file in (folder / "methods").iterdir():
        (where / "amun_steps/methods" / file.name).write_text(file.read_text())
    given = config(folder)
    del given["plugins"]
    script = (
        "import json, sys; from amun_steps.plan import views; plan = views.load(json.load(sys.stdin));"
        "print(plan.experiments['digits'].tuned('ascent', 'with_remain', 'random10').address)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=where, input=json.dumps(given), env=environment(), text=True, capture_output=True, check=True
    )
    assert done.stdout.split() == [addresses_of(folder)["ascent"]]


def test_two_folders_in_one_process_do_not_get_into_each_other_s_way(folder, tmp_path):
    import importlib

    other = tmp_path / "other"
    (other / "datasets").mkdir(parents=True)
    (other / "datasets/noise.py").write_text(READER.replace("Two classes", "Other classes"))
    docs = []
    for plugins in (folder, other):
        PLUGINS.use(plugins)
        docs.append(importlib.import_module("amun_steps.datasets.noise").__doc__)
    assert docs == ["Two classes of noise.", "Other classes of noise."]
    PLUGINS.use(None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("amun_steps.datasets.noise")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root.rename(root.with_name("gone")), r"plugins: found .*mine, which is no folder here \(.*\)"),
        (
            lambda root: [(root / room).rename(root / f"my_{room}") for room in ("methods", "models", "datasets")],
            r"plugins: found .*mine, which has none of the folders attacks, datasets, methods, models",
        ),
        (
            lambda root: (root / "methods/ft.py").write_text(METHOD),
            r".*mine/methods/ft\.py: 'ft' is the name of one of methods here already; rename the file",
        ),
        (
            lambda root: (root / "methods/ascent.py").write_text(METHOD.replace("NEEDS", "NEED")),
            r".*mine/methods/ascent\.py: lacks NEEDS = ",
        ),
        (lambda root: (root / "methods/ascent.py").write_text("def"), r".*mine/methods/ascent\.py, line 1: "),
        (
            lambda root: (root / "methods/ascent.py").rename(root / "methods/assent.py"),
            r"methods.ascent: found the name 'ascent', expected one of .*did you mean 'assent'\?",
        ),
    ],
)
def test_a_mistake_in_a_folder_is_named(folder, change, message):
    given = config(folder)
    change(folder)
    with pytest.raises(ConfigError, match=f"^{message}"):
        views.load(given)


def test_a_plugin_runs_in_the_workflow_and_nothing_else_does(finished, folder, tmp_path):
    where = clone(tmp_path / "clone")
    shutil.copytree(finished / "results", where / "results")
    (where / CONFIG).write_text(yaml.safe_dump(config(folder), sort_keys=False))
    expected = planned(where)
    assert {name: expected[name] for name in ("tune", "unlearn", "score")} == {"tune": 4, "unlearn": 2, "score": 2}
    assert not {"originals", "retrained", "adversarial", "signals"} & expected.keys()
    plan = views.load(config(folder))
    unlearned = plan.experiments["digits"].unlearned("ascent", "without_remain", "random10").file("unlearned.h5")
    snakemake(where, "--cores", "2", "--", unlearned)
    with h5py.File(where / unlearned) as file:
        assert file["logits"].shape[0] == 4


def test_a_network_and_a_reader_from_the_folder(folder, tmp_path):
    where = clone(tmp_path / "clone")
    given = config(folder)
    given["datasets"]["digits"] = {"source": "noise", "count": 60}
    given["experiments"]["digits"]["network"] = {"name": "mlp", "width": 8}
    (where / CONFIG).write_text(yaml.safe_dump(given, sort_keys=False))
    originals = views.load(given).experiments["digits"].originals().file("originals.h5")
    snakemake(where, "--cores", "2", "--", originals)
    with h5py.File(where / originals) as file:
        assert file["logits"].shape == (2, 60, 2)
    dataset = next((where / "results/store").glob("digits-*/dataset.h5.json"))
    assert re.search("noise", dataset.read_text())
