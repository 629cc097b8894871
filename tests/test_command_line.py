"""What the command lines say of themselves: each command what it is for, each option that takes JSON what is in it."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal, get_args, get_type_hints

import pytest
from running import CONFIG, REPOSITORY

from amun_steps import __main__ as commands
from amun_steps.__main__ import app
from amun_steps.plan.stage import Stage
from amun_steps.steps import adversarial, continuous, train, unlearn
from amun_steps.store import options
from amun_steps.store import step as steps

STORE = ("ls", "why", "diff", "verify", "gc", "adopt", "pack", "unpack")


def said(capsys) -> str:
    """What was printed, without the frames of tables and line breaks."""
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(("group", "commands"), [([], ("plan", "audit", "forget", "store")), (["store"], STORE)])
def test_the_help_has_a_line_for_every_command_without_importing_torch(group, commands):
    code = "import sys\nfrom amun_steps.__main__ import app\napp()(sys.argv[1:])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, *group, "--help"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("│ \n").split() for line in done.stdout.splitlines()]
    for command in commands:
        assert any(row[:1] == [command] and len(row) > 5 for row in rows), (command, done.stdout)


@pytest.mark.parametrize("command", ["plan", "audit", "forget", *(f"store {name}" for name in STORE)])
def test_every_command_says_what_it_is_for_with_an_example(command, capsys):
    app()([*command.split(), "--help"])
    help_of_it = said(capsys)
    assert help_of_it.count(f"amun {command}") >= 2, "the usage and an example"
    assert "Raises" not in help_of_it


@pytest.mark.parametrize("command", ["audit", "forget"])
def test_a_command_that_takes_a_while_says_first_what_it_does(command, tmp_path):
    """Before torch is imported, which takes seconds."""
    code = "import sys\nfrom amun_steps.__main__ import main\ntry:\n    main()\n"
    code += "finally:\n    assert 'torch' not in sys.modules"
    (tmp_path / "m.pt").touch()
    options = {"model": tmp_path / "m.pt", "forget": "gone.txt", "config": REPOSITORY / CONFIG, "experiment": "digits"}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    words += ["--method", "amun_salun"] * (command == "forget")
    done = subprocess.run([sys.executable, "-c", code, command, *words], text=True, capture_output=True, check=False)
    first, second, last = done.stderr.splitlines()
    assert first.endswith(f" reading {REPOSITORY / CONFIG}")
    assert second.endswith(f" checking {tmp_path / 'm.pt'} and gone.txt against it")
    assert "gone.txt: cannot be read" in last


def test_the_help_of_a_function_has_paragraphs_and_examples_and_not_what_is_raised():
    docstring = """Do this
    and that.

        amun this
        amun that

    One line
    more. Raises nothing.

    Raises InputError for
    what is wrong.
    """
    expected = "Do this and that.\n\n    amun this\n    amun that\n\nOne line more. Raises nothing."
    assert options.help_text(docstring) == expected


def test_what_a_disk_refuses_is_one_sentence(monkeypatch):
    """Whichever command meets it."""

    def run(_):
        raise PermissionError(13, "Permission denied", "results/store")

    monkeypatch.setattr(commands, "app", lambda: run)
    with pytest.raises(SystemExit, match=r"^results/store: Permission denied$"):
        commands.main()


@dataclass
class Inner:
    rate: float
    kind: Literal["a", "b"] = "a"


@dataclass
class Outer:
    inner: Inner
    rows: list[Inner]
    counts: dict[str, tuple[int, str]]
    more: dict[str, Any] = field(default_factory=dict)
    least: Inner | None = None


INNER = """{
  "rate": float,
  "kind": "a" or "b" (default: "a")
}"""
OUTER = """{
  "inner": {
    "rate": float,
    "kind": "a" or "b" (default: "a")
  },
  "rows": [{
    "rate": float,
    "kind": "a" or "b" (default: "a")
  }, ...],
  "counts": {name: [int, str], ...},
  "more": {name: anything, ...} (default: {}),
  "least": {
    "rate": float,
    "kind": "a" or "b" (default: "a")
  } or null (default: null)
}"""


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Inner, INNER),
        (Outer, OUTER),
        (Inner | None, f"{INNER} or null"),
        (dict[str, list[Any]], "{name: [anything, ...], ...}"),
        (tuple[int, ...], "[int, ...]"),
    ],
)
def test_the_shape_of_json_is_that_of_the_type(hint, expected):
    assert options.shape(hint) == expected


def names(kind: type) -> Iterator[str]:
    """The names of a dataclass's fields, and of those of dataclasses in it."""
    for name, hint in get_type_hints(kind).items():
        yield name
        for inner in filter(is_dataclass, (hint, *get_args(hint))):
            yield from names(inner)


@pytest.mark.parametrize("rows", [[], [{"rate": 1.0}], [{"rate": 0.5, "kind": "b"}, {"rate": 2.0}]])
def test_what_a_stage_says_is_what_its_step_is_given(rows, tmp_path, monkeypatch):
    """By a shell's words: lists of mappings, of numbers and of text, empty ones too."""
    found = {}

    @steps.step
    def mine(*, rows: list[Inner], names: list[str], count: int, table: dict[str, list[int]], output: steps.Output):
        """Mine."""
        found.update(rows=rows, names=names, count=count, table=table)
        output.touch()

    parameters = {"rows": rows, "names": ["a b", "1"], "count": 3, "table": {"x": [1, 2]}}
    stage = Stage("view", "mine", parameters, ["amun_steps.store.seeds"])
    monkeypatch.setattr(sys, "argv", ["step", *shlex.split(stage.options()), "--output", str(tmp_path / "out.txt")])
    steps.main(mine)
    assert found == parameters | {"rows": [Inner(**row) for row in rows]}


@pytest.mark.parametrize(
    ("command", "option", "kind"),
    [
        (train.originals, "training", train.Training),
        (unlearn.unlearn, "unlearning", unlearn.Unlearning),
        (adversarial.adversarial, "attack", adversarial.Attack),
        (continuous.continuous, "attack", adversarial.Attack),
    ],
)
def test_the_help_of_a_step_says_what_is_in_its_json(command, option, kind, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["step", "--help"])
    steps.main(command)
    help_of_it = said(capsys)
    _, _, of_option = help_of_it.partition(f"--{option} {kind.__name__.upper()} JSON: ")
    assert of_option
    for name in names(kind):
        assert f'"{name}": ' in of_option
