"""Thousands of configs with a mistake in them: each gives a plan, or is refused by one message that names a key."""

import copy
import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import TYPE

from amun_steps.plan import views
from amun_steps.plan.config_file import LOADER, read
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.steps import choose as grid

REPOSITORY = Path(__file__).parent.parent
CONFIGS = (
    "tests/tiny.yaml",
    "config/quickstart.yaml",
    "config/compare.yaml",
    "config/fashion.yaml",
    "config/config.yaml",
)
COUNT = 2016

OTHERS = [None, True, False, "", "text", "1e-2", "50", [], {}, [1], [[]], ["text"], {"a": 1}, {1: 2}, [None], [{}]]
NUMBERS = [0, -1, 1, 2, 3.0, 0.5, 1e-9, 1e-320, 1e300, 10**9, 10**30, 10**400, math.nan, math.inf, -math.inf, -0.0]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values in a config, without its root."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def at(config: Any, path: tuple) -> Any:
    for key in path:
        config = config[key]
    return config


def misspelt(name: str, chance: random.Random) -> str:
    k = chance.randrange(len(name) + 1)
    return chance.choice([name[:k] + "x" + name[k:], name[:k] + name[k + 1 :], name.upper(), name + "\n", name * 40])


def mutated(config: dict, chance: random.Random) -> tuple[str, tuple]:
    """Change one thing of a config, in place: what was done, and where."""
    path = chance.choice(list(places(config)))
    parent, key = at(config, path[:-1]), path[-1]
    old = parent[key]
    whats = ["type", "number", "nested", "name", "drop", *["scaled"] * 4]
    if isinstance(parent, dict):
        whats += ["misspelt", "added", "number key", "swapped"]
    what = chance.choice([*whats, "emptied"] if old and isinstance(old, list | dict) else whats)
    match what:
        case "drop":
            del parent[key]
        case "misspelt":
            parent[misspelt(key, chance)] = parent.pop(key)
        case "added":
            parent[chance.choice(["extra", "seed", "count", "folder", "clipping", "batch_norm", "compile"])] = old
        case "number key":
            parent[chance.choice([1, None, 2.5, True])] = parent.pop(key)
        case "swapped":
            parent[key] = copy.deepcopy(at(config, chance.choice(list(places(config)))))
        case "type":
            parent[key] = copy.deepcopy(chance.choice(OTHERS))
        case "number":
            parent[key] = chance.choice(NUMBERS)
        case "scaled" if isinstance(old, int | float) and not isinstance(old, bool):
            parent[key] = type(old)(old * chance.choice([0.001, 0.1, 3, 10, 100]))
        case "name" if isinstance(old, str):
            parent[key] = misspelt(old, chance)
        case "emptied":
            parent[key] = type(old)()
        case _:
            for _ in range(chance.choice([1, 2, 30, 2000])):
                old = chance.choice([[old], {"a": old}])
            parent[key] = old
    return what, path


def everything(config: dict) -> None:
    """All that the Snakefile asks of a config."""
    plan = views.load(config)
    try_networks(plan)
    for stage in plan.stages.values():
        stage.options()
        assert len(stage.slug) < 250  # a file's name has at most 255 bytes
        if "grid" in stage.parameters:
            assert grid.choices(stage.parameters["grid"])
    shown = [views.claims(plan)]
    shown += [views.runs(plan, name) for name in config["experiments"]]
    shown += [views.table(plan, name) for name in config["tables"]]
    shown += [views.figure(plan, name) for name in config["figures"]]
    for view in shown:
        view.stage.options()
        assert not Path(view.marker).is_file()
    assert len(views.captions(plan)) == len(config["figures"])
    json.dumps(config)
    for experiment in config["experiments"].values():
        count = experiment["references"]["count"]
        assert len(range(0, count, config["jobs"]["references_per_job"])) <= count


def key_of(message: str) -> list[str]:
    """The keys of the dotted path that a message begins with; none for the config's root."""
    key = message.split(": ")[0]
    return [] if key == "the config" else key.split(".")


def leads_somewhere(config: Any, keys: list[str]) -> bool:
    for key in keys:
        inside = (
            {str(k): v for k, v in config.items()} if isinstance(config, dict) else dict(enumerate(config))
            if isinstance(config, list) else {}
        )  # fmt: skip
        inside = {str(k): v for k, v in inside.items()}
        if key not in inside:
            return False
        config = inside[key]
    return True


def trial(number: int, base: dict, seed: int) -> tuple[str, str]:
    """What was done to a config, and the message that it is refused with; empty where it is valid.

    A message begins with a key that is there, and has a word of where the config was changed.
    """
    chance, config = random.Random(f"{seed}/{number}"), copy.deepcopy(base)
    what, path = mutated(config, chance)
    try:
        everything(config)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message, message
        assert not TYPE.search(message), message
        assert len(message) < 2000, message
        assert leads_somewhere(config, key_of(message)), (what, path, message)
        parent = at(config, path[:-1])
        words = {str(key) for key in (*path, *(parent if isinstance(parent, dict) else ()))}
        assert words & set(re.split(r"[^\w]+", message)) or key_of(message) == [], (what, path, message)
        return what, message
    return what, ""


def bases() -> list[dict]:
    """The configs, without parts that two keys share, as an alias of YAML would have it."""
    return [json.loads(json.dumps(yaml.load((REPOSITORY / name).read_text(), LOADER))) for name in CONFIGS]


def test_a_mistake_is_named_or_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # without results
    found = [trial(number, config, 0) for config in bases() for number in range(COUNT * 7 // 8 // len(CONFIGS))]
    kinds = {what for what, _ in found}
    assert len(kinds) == 11
    for what in kinds - {"drop", "scaled", "number", "type"}:
        assert any(message for kind, message in found if kind == what), what
    refused = sum(bool(message) for _, message in found) / len(found)
    assert 0.5 < refused < 0.99


@pytest.mark.parametrize("name", CONFIGS)
def test_a_line_given_twice_is_named(name, tmp_path):
    """As text, with another value before: the file, both lines and the key are named."""
    lines = (REPOSITORY / name).read_text().splitlines()
    chance = random.Random(name)
    keyed = [n for n, line in enumerate(lines) if re.match(r" *\w+:", line)]
    for number in chance.choices(keyed, k=COUNT // 8 // len(CONFIGS)):
        indent, key = re.match(r"( *)(\w+):", lines[number]).groups()
        path = tmp_path / "config.yaml"
        again = f"{indent}{chance.choice([key, repr(key)])}: {chance.choice(['1', '[]', '{}', 'null'])}"
        path.write_text("\n".join([*lines[:number], again, *lines[number:]]))
        with pytest.raises(ConfigError) as caught:
            views.load_file(path)
        begins = f"{path}, line {number + 2}, column {len(indent) + 1}: the key "
        assert str(caught.value).startswith(begins)
        dotted = str(caught.value).removeprefix(begins).split(" ")[0]
        assert dotted.split(".")[-1] == key
        assert leads_somewhere(yaml.safe_load(path.read_text()), dotted.split("."))
        assert f"first in line {number + 1};" in str(caught.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_reading_strictly_changes_nothing(name):
    assert read(REPOSITORY / name) == yaml.safe_load((REPOSITORY / name).read_text())


def test_merged_keys_may_be_given_again(tmp_path):
    """Also where what is merged has merged itself, and lies deeper than where it is merged into."""
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {c: {d: &d {<<: *a, x: 3}}}\ne: {<<: [*a, *d], y: 4}\nf: {<<: *d, x: 5}\n")
    found = read(path)
    assert found["b"]["c"]["d"] == {"x": 3, "y": 2}
    assert found["e"] == {"x": 1, "y": 4}
    assert found["f"] == {"x": 5, "y": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 0\n\tdatasets: {}\n", ", line 2, column 1: found .*indent by spaces, not by tabs"),
        (b"seed: [", ", line 2, column 1: "),
        (b"a: 1\nb: c: 2\n", ", line 2, column 5: mapping values are not allowed"),
        (b"a: *b\n", ", line 1, column 4: found undefined alias"),
        (b"a: 1\n---\nb: 2\n", ", line 2, column 1: but found another document"),
        (b"a: 1\nbc: \x07\n", r", line 2, column 5: found '\\x07', which YAML does not allow"),
        (b"a: \xff\n", ": byte 3 is not UTF-8"),
        (b"a: {b: 2026-13-01}\n", ", line 1, column 8: a.b: found 2026-13-01: month must be in 1..12"),
        (b"? [a]\n: 1\n", ", line 1, column 3: found unhashable key"),
        (b"{a: {b: 1, b: 2}}", ", line 1, column 12: the key a.b is given twice, first in line 1; remove one"),
        (b"a: [{b: 1, 'b': 2}]", ", line 1, column 12: the key a.0.b is given twice"),
        (b"a: &a [*a]", ": a: found more than 20 levels of lists"),
        (b"- a\n", r': the config: found \["a"\], expected a mapping'),
        (b"", ": the config: found null, expected a mapping"),
    ],
)
def test_a_file_that_is_no_config_has_its_place_named(content, message, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        views.load_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing.yaml: No such file or directory"):
        views.load_file(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match=r": Is a directory"):
        views.load_file(tmp_path)
