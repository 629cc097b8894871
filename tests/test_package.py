"""An installed wheel does what a clone does: nothing that is read at run time is left behind."""

import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from running import CONFIG, REPOSITORY, environment

PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
HERE_ALONE = ("--no-index", "--no-deps")
FOLDERS = ("amun_steps", "workflow")

HELP = """
import contextlib, io, runpy, sys
modules, sys.argv[1:] = sys.argv[1:], ["--help"]
for module in modules:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runpy.run_module(module, run_name="__main__")
    print(module, said.getvalue().partition(" ")[0])
"""
"""A program that prints how each module's help begins: in one process, since torch takes seconds to import."""


def run(*command, where: Path) -> str:
    """What a command prints. Fails with that when it fails."""
    alone = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=where, env=alone, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: a build writes into its sources."""
    source, to = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    run(*PIP, "wheel", *HERE_ALONE, "--no-build-isolation", "--wheel-dir", to, source, where=to)
    (built,) = to.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel; all other packages are those of the environment that tests it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    run(*PIP, "--python", folder, "install", *HERE_ALONE, wheel, where=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    return folder / "bin"


def test_the_wheel_has_every_file_of_the_package_and_of_the_workflow(wheel):
    paths = [path.relative_to(REPOSITORY) for name in FOLDERS for path in (REPOSITORY / name).rglob("*")]
    files = {path for path in paths if (REPOSITORY / path).is_file() and "__pycache__" not in path.parts}
    packed = {path for path in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in path}
    assert packed == {str(path if path.parts[0] == "amun_steps" else "amun_steps" / path) for path in files}


def test_an_installed_package_plans_a_config_in_any_folder(installed, tmp_path):
    smaller = yaml.safe_load((REPOSITORY / CONFIG).read_text()) | {"tables": {}, "figures": {}}  # little to calibrate
    smaller["experiments"]["digits"]["methods"], smaller["jobs"]["stack"] = ["ft"], 1
    smaller["unlearning"]["finetune"]["augmentation"] = smaller["training"]["scratch"]["augmentation"]
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(smaller))
    said = run(installed / "amun", "plan", config, where=tmp_path)
    assert re.search(r"^digits +dataset +1 +1 ", said, re.MULTILINE), said


def test_every_command_line_of_an_installed_package_has_a_help(installed, tmp_path):
    rules = "".join(path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk"))
    modules = sorted({f"amun_steps.{name}" for name in re.findall(r"python -m amun_steps.store.job ([\w.]+)", rules)})
    assert len(modules) >= 16
    said = run(installed / "python", "-c", HELP, *modules, where=tmp_path)
    assert said.splitlines() == [f"{module} Usage:" for module in modules]
    where = run(installed / "python", "-c", "import amun_steps; print(amun_steps.__file__)", where=tmp_path)
    assert Path(where).is_relative_to(installed.parent)
