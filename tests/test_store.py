"""Addresses, atomic writes and receipts."""

import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from running import store as command
from toy import models

from amun_steps.plan import folders, views
from amun_steps.plan.config_file import read
from amun_steps.store import addresses
from amun_steps.store import step as steps
from amun_steps.store.addresses import STORE
from amun_steps.store.receipts import read_receipt, sha256
from amun_steps.training import stack as stacks


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: step imports helper, helper imports nothing, other stands alone."""
    root = tmp_path / "amun_steps"
    (root / "methods").mkdir(parents=True)
    (root / "__init__.py").write_text('"""A package."""\n')
    (root / "methods" / "__init__.py").write_text("")
    (root / "step.py").write_text(
        '"""A step."""\nfrom amun_steps import helper\nfrom .methods import ft\n\n\ndef f(x):\n    return helper.g(x)\n'
    )
    (root / "helper.py").write_text("def g(x):\n    '''Doubles.'''\n    return 2 * x  # twice\n")
    (root / "other.py").write_text("y = 1\n")
    (root / "methods" / "ft.py").write_text("from amun_steps.store.commands import z\nz = 1\n")
    (root / "store").mkdir()
    (root / "store" / "commands.py").write_text("z = 1\n")
    monkeypatch.setattr(addresses, "PACKAGE", root)
    addresses._syntax.cache_clear()
    yield root
    addresses._syntax.cache_clear()


def fingerprint_after(path: Path, old: str, new: str) -> tuple[str, str]:
    before = addresses.fingerprint(["amun_steps.step"])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    addresses._syntax.cache_clear()
    return before, addresses.fingerprint(["amun_steps.step"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("helper.py", "# twice", "# two times"),
        ("helper.py", "'''Doubles.'''", "'''Gives\n    the double.'''"),
        ("helper.py", "2 * x", "(2\n        * x)"),
        ("step.py", '"""A step."""', '"""Another text."""'),
        ("other.py", "y = 1", "y = 2"),
        ("store/commands.py", "z = 1", "z = 2"),
    ],
)
def test_what_cannot_change_a_result_leaves_the_fingerprint(package, file, old, new):
    before, after = fingerprint_after(package / file, old, new)
    assert before == after


F_STRINGS = """
def said(rows, n, x):
    return f"{', '.join(rows)}: {x:.{n}f} {x!r:>{n}} {x=} {f'{n:02d}'!s}" + f"{x:%}" rf"{n}\\d" "plain"
"""


def test_the_fingerprint_is_the_same_in_all_versions_of_python(package):
    """Which differ in how they write an f-string: the digest of 3.11, which 3.12 and 3.13 find, too."""
    (package / "helper.py").write_text(F_STRINGS)
    addresses._syntax.cache_clear()
    assert addresses.fingerprint(["amun_steps.helper"])[:12] == "45f5e197ffa4"
    before = addresses.fingerprint(["amun_steps.helper"])
    for old, new in ((".{n}f", ".{n}g"), ("!r:", "!s:"), ("', '", "'; '"), ("02d", "03d")):
        (package / "helper.py").write_text(F_STRINGS.replace(old, new))
        addresses._syntax.cache_clear()
        assert addresses.fingerprint(["amun_steps.helper"]) != before, new


def test_a_module_with_a_mistake_in_its_syntax_is_named(package):
    (package / "helper.py").write_text("def g(x:\n    return x\n")
    addresses._syntax.cache_clear()
    with pytest.raises(steps.InputError, match=r"helper\.py, line 1: .*was never closed"):
        addresses.fingerprint(["amun_steps.step"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("helper.py", "2 * x", "3 * x"), ("step.py", "g(x)", "g(-x)"), ("methods/ft.py", "= 1", "= 2")],
)
def test_code_that_a_step_runs_changes_the_fingerprint(package, file, old, new):
    before, after = fingerprint_after(package / file, old, new)
    assert before != after


def test_the_closure_follows_every_kind_of_import(package):
    assert addresses.closure(["amun_steps.step"]) == {
        "amun_steps", "amun_steps.step", "amun_steps.helper", "amun_steps.methods", "amun_steps.methods.ft"
    }  # fmt: skip


def test_a_module_that_is_not_there_is_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"amun_steps\.nothing"):
        addresses.fingerprint(["amun_steps.nothing"])


def test_an_address_covers_kind_parameters_code_and_parents(package):
    def address(kind="k", parameters=None, code=("amun_steps.other",), parents=("a",)):
        return addresses.address(kind, parameters or {"x": 1, "y": [1, None]}, code, parents)

    assert address() == address(parameters={"y": [1, None], "x": 1})
    assert len(address()) == 12
    others = [address(kind="l"), address(parameters={"x": 2, "y": [1, None]}), address(code=("amun_steps.step",))]
    assert len({address(), *others, address(parents=("b",))}) == 5


def test_the_address_in_a_path_is_the_innermost_slug_s():
    path = Path("results/store/digits-0123456789ab/small-net-ba9876543210/set0.h5")
    assert addresses.address_in(path) == "ba9876543210"
    assert addresses.address_in(Path("results/tables/table1.csv")) is None


@steps.step
def copy(*, source: Path, times: int, output: steps.Output, others: list[steps.Output]) -> None:
    text = source.read_text() * times
    output.write_text(text)
    for other in others:
        if "fail" in text:
            raise ValueError("half-way")
        other.write_text(text)


def test_a_step_writes_its_outputs_with_receipts(tmp_path):
    source = tmp_path / "in.txt"
    source.write_text("ab")
    output, others = tmp_path / "deep" / "out.txt", [tmp_path / "1.txt", tmp_path / "2.txt"]
    copy(source=source, times=2, output=output, others=others)
    assert [p.read_text() for p in (output, *others)] == ["abab"] * 3
    receipt = read_receipt(output)
    assert receipt["parameters"] == {"times": 2}
    assert receipt["inputs"] == [{"path": source.as_posix(), "sha256": None}]
    assert receipt["sha256"] == sha256(output)
    assert receipt["bytes"] == 4
    assert receipt["seconds"] >= 0
    copy(source=output, times=1, output=tmp_path / "next.txt", others=[])
    assert read_receipt(tmp_path / "next.txt")["inputs"][0]["sha256"] == receipt["sha256"]


@pytest.mark.parametrize("damage", ["a flipped bit", "a truncated file"])
def test_a_step_refuses_an_input_that_is_not_what_its_receipt_says(tmp_path, damage):
    source = tmp_path / "in.txt"
    source.write_text("ab")
    made, output = tmp_path / "made.txt", tmp_path / "out.txt"
    copy(source=source, times=2, output=made, others=[])
    made.write_text("abac" if damage == "a flipped bit" else "ab")
    with pytest.raises(steps.InputError, match=rf"^{made}: its bytes are not .* delete it and start the same command"):
        copy(source=made, times=1, output=output, others=[])
    assert not output.exists()
    copy(source=source, times=2, output=made, others=[])
    copy(source=made, times=1, output=output, others=[])
    assert output.read_text() == "abab"


def test_artifacts_can_be_read_by_who_may_read_any_new_file(tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("as open() makes it")
    stack = models(1)
    write = functools.partial(stacks.save, stack)
    steps.write_whole(tmp_path / "models.safetensors", write)
    assert (tmp_path / "models.safetensors").stat().st_mode == plain.stat().st_mode


@steps.step
def draw(*, output: steps.Output) -> None:
    output.write_text(f"{random.random()} {np.random.rand()} {torch.rand(1).item()}")


def test_a_step_that_draws_from_global_generators_gives_the_same_bytes_again(tmp_path):
    paths = [tmp_path / f"a-{'0' * 12}" / "x", tmp_path / "b" / f"a-{'0' * 12}" / "x", tmp_path / f"a-{'1' * 12}" / "x"]
    for path in paths:
        draw(output=path)
    first, again, other = (path.read_text() for path in paths)
    assert first == again  # wherever the store lies
    assert not {*first.split()} & {*other.split()}


def test_a_step_that_fails_half_way_leaves_nothing(tmp_path):
    source = tmp_path / "in.txt"
    source.write_text("fail")
    with pytest.raises(ValueError, match="half-way"):
        copy(source=source, times=1, output=tmp_path / "out.txt", others=[tmp_path / "other.txt"])
    assert os.listdir(tmp_path) == ["in.txt"]


def test_a_step_that_is_killed_leaves_no_file_under_its_name(tmp_path):
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom amun_steps.store import step as steps\n"
        "@steps.step\ndef f(*, output: steps.Output) -> None:\n"
        "    output.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"f(output=Path({str(tmp_path / 'out.txt')!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "out.txt").exists()


@steps.step
def in_two_attempts(*, output: steps.Output, partial: steps.Partial = None) -> None:
    done = partial / "half"
    if not done.exists():
        partial.mkdir()
        done.write_text("half")
        raise KeyboardInterrupt
    output.write_text(done.read_text() + " and whole")


def test_partial_work_outlives_an_interruption_and_no_more(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        in_two_attempts(output=tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
    in_two_attempts(output=tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "half and whole"
    assert read_receipt(tmp_path / "out.txt")["resumed"]  # its seconds are not the whole work's
    assert sorted(os.listdir(tmp_path)) == ["out.txt", "out.txt.json"]


def test_a_step_refuses_other_code_than_its_address_is_for(tmp_path):
    """Code that is edited while a workflow runs must not be what lies at the address of the code before."""
    output = tmp_path / "dataset.h5"
    command = [sys.executable, "-m", "amun_steps.steps.dataset", "--source", "digits", "--output", str(output)]
    command += ["--parameters", '{"test_fraction":0.25,"seed":3}', "--planned-code", "amun_steps.steps.dataset"]
    done = subprocess.run([*command, "0" * 64], text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "the code of amun_steps.steps.dataset has changed since this run of the workflow was planned" in done.stderr
    assert not output.exists()
    planned = addresses.fingerprint(["amun_steps.steps.dataset"])
    subprocess.run([*command, planned], check=True)
    assert json.loads((tmp_path / "dataset.h5.json").read_text())["code"] == planned


def test_a_receipt_has_the_code_that_a_config_chose_by_name(tmp_path):
    """An edited reader, network or method must show in the receipt of what it made."""
    modules = ["amun_steps.steps.dataset", "amun_steps.datasets.digits"]
    command = [sys.executable, "-m", "amun_steps.steps.dataset", "--source", "digits"]
    command += ["--output", str(tmp_path / "dataset.h5")]
    command += ["--parameters", '{"test_fraction":0.25,"seed":3}', "--planned-code", ",".join(modules)]
    subprocess.run([*command, addresses.fingerprint(modules)], check=True)
    assert json.loads((tmp_path / "dataset.h5.json").read_text())["code"] == addresses.fingerprint(modules)


def test_the_command_line_parses_json_into_what_a_step_takes(tmp_path):
    """The real step, as a rule calls it: a dict and scalars, then lists and a dataclass in the receipt."""
    output = tmp_path / "dataset.h5"
    command = [sys.executable, "-m", "amun_steps.steps.dataset", "--source", "digits"]
    command += ["--parameters", '{"test_fraction":0.25,"seed":3}', "--output", str(output)]
    subprocess.run(command, check=True)
    receipt = json.loads((tmp_path / "dataset.h5.json").read_text())
    assert receipt["step"] == "amun_steps.steps.dataset.dataset"
    parameters = {"test_fraction": 0.25, "seed": 3}
    assert receipt["parameters"] == {"source": "digits", "parameters": parameters, "folder": ""}
    assert receipt["code"] == addresses.fingerprint(["amun_steps.steps.dataset"])


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def stored(where: Path, pattern: str) -> list[str]:
    return sorted(p.relative_to(where).as_posix() for p in (where / "results" / "store").rglob(pattern))


def test_ls_names_every_artifact_and_no_receipt(finished):
    code, output = command(finished, "ls")
    assert code == 0
    listed = [line.split()[-1] for line in output.splitlines()]
    files = [p for p in stored(finished, "*") if (finished / p).is_file() and not Path(p).name.startswith(".")]
    assert listed == [p for p in files if not p.endswith(".json") or p.endswith("best.json")]


def test_why_goes_back_to_the_data(finished):
    (models,) = (p for p in stored(finished, "unlearned.safetensors") if "/ft-" in p)
    code, output = command(finished, "why", models)
    assert code == 0
    steps = ("unlearn.unlearn", "choose.choose", "train.originals")
    for what in (*map("amun_steps.steps.{}".format, steps), "dataset.h5"):
        assert what in output
    code, output = command(finished, "why", "tests/tiny.yaml")
    assert code != 0
    assert "found no receipt" in output


def test_diff_names_the_parameter_that_differs(finished):
    parts = [p for p in stored(finished, "part*.csv") if "/ft-" in p]
    code, output = command(finished, "diff", *parts)
    assert code == 0
    assert "parameters.part:\n  - 0\n  + 1" in output
    assert "parameters.grid" not in output


def test_verify_names_a_file_whose_bytes_changed(copy_of_finished):
    assert command(copy_of_finished, "verify")[0] == 0
    (changed,) = stored(copy_of_finished, "inclusion.h5")
    with open(copy_of_finished / changed, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    code, output = command(copy_of_finished, "verify")
    assert code == 1
    assert f"{changed}: its bytes are not those that its step wrote" in output


@pytest.mark.parametrize("damage", [b"", b'{"step": "a', b"[]", b"{}"])
def test_a_damaged_receipt_is_named_and_the_others_are_looked_at(copy_of_finished, damage):
    (changed,) = stored(copy_of_finished, "inclusion.h5")
    (copy_of_finished / f"{changed}.json").write_bytes(damage)
    code, output = command(copy_of_finished, "verify")
    assert code == 1
    assert f"{changed}.json: is no receipt" in output
    assert "delete it and inclusion.h5, which is made again" in output
    assert re.search(r"^\d\d+ artifacts, 1 of them bad or missing", output, re.MULTILINE)
    code, output = command(copy_of_finished, "ls")
    assert code == 1
    assert f"{changed}.json: is no receipt" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_gc_keeps_what_runs_were_started_with(copy_of_finished, monkeypatch):
    """Several config files, of which one is none by itself, and values of --config."""
    monkeypatch.chdir(copy_of_finished)
    Path("seeded.yaml").write_text("seed: 7\n")
    tiny, started = Path("tests/tiny.yaml"), folders.started(STORE)
    assert not list(started), "one config file, which names everything by itself"
    ways = {
        "seeded.yaml": ({"seed": 7}, [tiny, Path("seeded.yaml")], {}),
        "two": ({"replicates": 2}, [tiny], {"replicates": 2}),
    }
    for changes, files, config in ways.values():
        for stage in views.load(read(tiny) | changes).stages.values():
            stage.folder.mkdir(parents=True, exist_ok=True)
        assert len(command(Path(), "gc", "tests/tiny.yaml")[1].splitlines()) > 1
        folders.note("results", files, config)
        assert len(command(Path(), "gc", "tests/tiny.yaml")[1].splitlines()) == 1
    assert len(command(Path(), "gc", "tests/tiny.yaml", "seeded.yaml")[1].splitlines()) == 1
    (Path("else") / "where").mkdir(parents=True)
    monkeypatch.chdir("else/where")  # the records say where from results/ on
    there = ["gc", "../../tests/tiny.yaml", "--store", "../../results/store"]
    assert len(command(Path(), *there)[1].splitlines()) == 1
    monkeypatch.chdir("../..")
    Path("whole.yaml").write_text(tiny.read_text().replace("seed: 0\nexperiments", "seed: 9\nexperiments"))
    folders.note("results", [tiny, Path("whole.yaml")], {})
    whole = views.load_file(Path("whole.yaml")).experiments["digits"].originals()
    whole.folder.mkdir(parents=True)
    for configs in (["whole.yaml"], ["tests/tiny.yaml", "whole.yaml"]):
        assert whole.slug not in command(Path(), "gc", *configs)[1], "what is a config by itself counts as one, too"
    folders.note("results", [tiny], {"replicates": 0})
    code, output = command(Path(), "gc", "tests/tiny.yaml")
    assert code == 1
    assert 'tests/tiny.yaml with {"replicates":0}, which a run was started with: replicates: found 0' in output
    assert "delete its line in .started beside the views" in output


def test_gc_deletes_only_what_no_config_names_and_only_when_told(copy_of_finished):
    """Partial work of a stage that the config names is no rubbish: a job may be going on with it."""
    partial = (copy_of_finished / stored(copy_of_finished, "dataset.h5")[0]).parent / ".models.partial"
    partial.mkdir()
    (partial / "models0to3.safetensors").write_text("half")
    assert command(copy_of_finished, "gc")[0] != 0  # without a config nothing is wanted: it must not run
    config = copy_of_finished / "tests" / "tiny.yaml"
    before = stored(copy_of_finished, "*")
    assert "           0 B  in all" in command(copy_of_finished, "gc", "tests/tiny.yaml")[1]
    config.write_text(config.read_text().replace("methods: [ft, amun_salun]", "methods: [amun_salun]"))
    code, output = command(copy_of_finished, "gc", "tests/tiny.yaml")
    assert code == 0
    assert stored(copy_of_finished, "*") == before
    listed = [line.split()[-1] for line in output.splitlines()[:-1]]
    assert len(listed) == 1
    assert "/ft-with_remain-random10-tuned-" in listed[0]
    assert command(copy_of_finished, "gc", "tests/tiny.yaml", "--delete")[0] == 0
    assert stored(copy_of_finished, "*") == [p for p in before if not p.startswith(listed[0])]
