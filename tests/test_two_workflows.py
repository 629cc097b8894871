"""Two configs in one clone, a start from another folder, and two workflows on one store."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import CONFIG, clone, edit, environment, snakemake, start, store, views

from amun_steps.plan import folders
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.views import load_file
from amun_steps.store import running
from amun_steps.store.step import InputError

TABLE = "results/tables/table1.csv"
ROOT = Path(__file__).parents[1]


def refused(where: Path, *arguments: str) -> str:
    """What a start says that must fail."""
    process = start(where, "--cores", "1", *arguments)
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0, said
    return said


def test_a_folder_of_views_is_of_one_config_until_its_record_is_deleted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine, other = Path("config/mine.yaml"), tmp_path / "config" / "other.yaml"
    folders.take("results", [mine])
    folders.take("results", [tmp_path / "config" / "." / "mine.yaml"])  # the same, said in other words
    folders.take("results/other", [other])
    with pytest.raises(ConfigError) as error:
        folders.take("results", [mine, other])
    assert str(error.value) == (
        "config/mine.yaml, config/other.yaml: its tables, figures and runs would take the place of those of"
        " config/mine.yaml in results/; give them a folder of their own by the key `results: NAME` (also as --config"
        " results=NAME), or delete results/.config to overwrite the others"
    )
    Path("results/.config").unlink()
    folders.take("results", [other])
    assert Path("results/.config").read_text() == "config/other.yaml\n"


@pytest.mark.parametrize("name", ["store", "Tables", "logs", "a/b", "..", "a-b", "", 7, None])
def test_the_folder_of_a_config_s_views_has_a_name_of_its_own(name, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"results: {name!r}\n".replace("None", "null") + (ROOT / CONFIG).read_text())
    with pytest.raises(ConfigError, match=r"results: found .*, expected (a|another) name"):
        load_file(path)


def test_no_other_config_takes_the_place_of_a_config_s_tables(finished, tmp_path):
    """It is refused before anything runs; in a folder of its own it has its tables, and both stay."""
    where = tmp_path / "copy"
    shutil.copytree(finished, where, symlinks=True)
    shutil.copy(where / CONFIG, where / "config" / "other.yaml")
    edit(where / "config" / "other.yaml", "test_accuracy, ft_auc, average_gap", "test_accuracy, mis, average_gap")
    other = ("--configfile", "config/other.yaml")  # the last --configfile counts
    before = {path: path.read_bytes() for path in (where / "results").rglob("*") if path.is_file()}
    said = refused(where, *other)
    assert "config/other.yaml: its tables, figures and runs would take the place of those of tests/tiny.yaml" in said
    assert {path: path.read_bytes() for path in (where / "results").rglob("*") if path.is_file()} == before
    assert (where / "results" / ".config").read_text() == f"{CONFIG}\n"
    of_store = [path for path in before if "store" in path.parts]
    snakemake(where, "--cores", "2", *other, "--config", "results=other")
    assert "mis_mean" in (where / "results" / "other" / "tables" / "table1.csv").read_text()
    assert (where / "results" / "other" / "claims.csv").is_file()
    assert views(where) == views(finished)
    assert sorted(path for path in (where / "results" / "store").rglob("*") if path.is_file()) == sorted(of_store)
    for arguments in ((), (*other, "--config", "results=other")):
        assert "Nothing to be done" in snakemake(where, "--cores", "1", *arguments)
    killed = where / "results" / "other" / "tables" / ".0123abcd.table1.csv"
    killed.touch()
    os.utime(killed, (0, 0))
    assert "results/other/tables/.0123abcd.table1.csv" in store(where, "gc", CONFIG)[1]
    with open(where / CONFIG, "a") as config:
        config.write("# the same config, edited\n")
    snakemake(where, "--cores", "1", "--forcerun", "table_table1")


def test_from_another_folder_results_lie_there_and_steps_are_those_of_the_checkout(finished, tmp_path):
    source = clone(tmp_path / "source")
    with open(source / "amun_steps" / "views" / "tables.py", "a") as code:
        code.write("\nHERE = True\n")  # a job would refuse the code of another checkout, such as an installed one
    here = tmp_path / "here"
    (here / "results").mkdir(parents=True)
    shutil.copytree(finished / "results" / "store", here / "results" / "store")
    command = [sys.executable, "-m", "snakemake", "-s", source / "workflow" / "Snakefile", "--cores", "1"]
    command += ["--configfile", source / CONFIG, "--", TABLE]
    without = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=here, env=without, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (here / TABLE).read_bytes() == (finished / TABLE).read_bytes()
    assert not (source / "results").exists()
    assert (here / "results" / ".config").read_text() == f"{source / CONFIG}\n"
    for path in (here / "results" / ".config", here / TABLE):
        path.unlink()
    (here / "config").mkdir()
    shutil.copy(source / CONFIG, here / "config" / "config.yaml")
    command = [word for word in command if word not in ("--configfile", source / CONFIG)]
    done = subprocess.run(command, cwd=here, env=without, text=True, capture_output=True, check=False)
    assert done.returncode == 0, "a workflow has a config file of its own where none is given\n" + done.stderr
    assert (here / "results" / ".config").read_text() == "config/config.yaml\n"


def test_a_file_is_reserved_until_its_workflow_has_ended(tmp_path):
    code = "import sys; from pathlib import Path; from amun_steps.store.running import reserve;"
    code += "reserve(['results/store/a', 'results/store/b'], Path(sys.argv[1])); print('now', flush=True); input()"
    command = [sys.executable, "-c", code, tmp_path]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "now\n"
    running.reserve(["results/store/c"], tmp_path)
    with pytest.raises(InputError, match=rf"another workflow \(process {other.pid} on .*such as results/store/b; "):
        running.reserve(["results/store/b", "results/store/d"], tmp_path)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    running.reserve(["results/store/b"], tmp_path)
    assert len(list(tmp_path.glob(".running.*"))) == 1  # what the killed one left is gone


def test_two_clones_at_once_on_one_store(finished, tmp_path):
    """What both would make only the first may; what only one makes goes on at the same time."""
    one, two = tmp_path / "one", clone(tmp_path / "two")
    shutil.copytree(finished, one, symlinks=True)
    (two / "results").mkdir()
    (two / "results" / "store").symlink_to(one / "results" / "store")
    for where in (one, two):
        edit(where / CONFIG, "ft: {}", "ft: {grid: {step: [1]}}")
    first = start(one, "--cores", "1", "--", TABLE, stdout=subprocess.DEVNULL)
    while not any(path.read_text() for path in (one / "results" / "store").glob(".running.*")):
        assert first.poll() is None
        time.sleep(0.1)
    assert f"another workflow (process {first.pid} on " in refused(two, "--", TABLE)
    assert not (two / TABLE).exists()
    edit(two / CONFIG, "step: [1]", "step: [2]")
    snakemake(two, "--cores", "1", "--", TABLE)
    assert first.wait(timeout=900) == 0
    edit(two / CONFIG, "step: [2]", "step: [1]")
    snakemake(two, "--cores", "1", "--", TABLE)
    assert (two / TABLE).read_bytes() == (one / TABLE).read_bytes()
    assert store(one, "verify")[0] == 0
