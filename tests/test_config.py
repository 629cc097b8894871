"""A wrong config stops before anything is computed, with one message: the key, what was found, what is allowed."""

import importlib
import inspect
import math
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from running import clone

from amun_steps.plan import figures, signatures, views
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.networks import try_networks
from amun_steps.plan.signatures import find_function
from amun_steps.views.judges import ENOUGH

REPOSITORY = Path(__file__).parent.parent
GOOD = yaml.safe_load((REPOSITORY / "tests" / "tiny.yaml").read_text())


def changed(path: str, value) -> dict:
    """The tiny config with the value at a dotted path replaced, or removed where it is ..."""
    config = deepcopy(GOOD)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


WRONG = [
    ("sead", 1, "the config: unknown key 'sead', expected one of", "did you mean 'seed'?"),
    ("jobs.minutes", GOOD["jobs"]["minutes"] | {None: 5}, "jobs.minutes: unknown key null, expected one of", ""),
    ("seed", ..., "the config: lacks the key 'seed'", "a whole number"),
    ("tuning.factor", 0.1, "tuning: unknown key 'factor'", "learning_rate, originals, racing, step"),
    ("forget.random10.fraction", 1.5, "forget.random10.fraction: found 1.5", "strictly between 0 and 1"),
    ("forget.random10.fraction", 0, "forget.random10.fraction: found 0", "strictly between 0 and 1"),
    ("forget.random10.sets", "three", 'forget.random10.sets: found "three"', "a whole number from 1"),
    ("experiments.digits.references.count", 127, "experiments.digits.references.count: found 127", "an even number"),
    ("experiments.digits.methods", ["amum"], "experiments.digits.methods: found the name 'amum'", "amun_salun, ft"),
    ("experiments.digits.dataset", "digit", "experiments.digits.dataset: found", "did you mean 'digits'?"),
    ("experiments.digits.network.name", "resnet", "experiments.digits.network.name: found", "small_resnet"),
    ("experiments.digits.network.widht", 4, "experiments.digits.network: unknown parameter 'widht'", "'width'"),
    ("experiments.digits.network.width", ..., "experiments.digits.network: lacks the parameter 'width'", ""),
    ("experiments.digits.attack", "pgd", "experiments.digits.attack: found", "pgd50"),
    ("attacks.pgd50.parameters.step", 1, "attacks.pgd50.parameters: unknown parameter 'step'", "steps"),
    ("datasets.digits.source", "mnist", "datasets.digits.source: found", "digits"),
    ("datasets.digits.split", 0.1, "datasets.digits: unknown parameter 'split'", "test_fraction"),
    ("methods.amum", {}, "methods.amum: found the name 'amum'", "did you mean 'amun'?"),
    ("methods.ft", {"grid": {"mask_ratio": [0.5]}}, "methods.ft: unknown parameter 'mask_ratio'", "'ft' takes none"),
    (
        "methods.amun_salun",
        {"grid": {"mask_ratio": [0.5]}},
        "methods.amun_salun: lacks the parameter",
        "include_forget",
    ),
    (
        "methods.ssd",
        {"grid": {"learning_rate": [0.1]}},
        "methods.ssd.grid.learning_rate: 'ssd' trains nothing",
        "remove the key",
    ),
    ("methods.bad_teacher", {"grid": {"share": [1.5]}}, "methods.bad_teacher.grid.share: found 1.5", "up to 1"),
    ("methods.ft", {"grid": {"learning_rate": [-1]}}, "methods.ft.grid.learning_rate.0: found -1", "learning rate"),
    ("tuning.choices", 0, "tuning.choices: found 0", "from 1"),
    ("tuning.racing", 1, "tuning.racing: found 1", "strictly between 0 and 1"),
    ("tuning.racing", True, "tuning.racing: found true", "strictly between 0 and 1"),
    ("tuning.racing", 0.5, "tuning.originals: found [0]", "race from one to the next; or no racing"),
    ("methods.amun_salun.grid.mask_ratio", [0.5, 1.5], "methods.amun_salun.grid.mask_ratio.1: found 1.5", "0 and 1"),
    ("methods.retrained", {"module": "ft"}, 'methods: found "retrained"', "another name"),
    ("tuning.originals", [2], "tuning.originals: found 2", "experiments.digits.originals.count, which is 2"),
    ("tables.table1.access", ["both"], 'tables.table1.access.0: found "both"', "with_remain or without_remain"),
    ("tables.table1.methods", ["ft", "salun"], "tables.table1.methods: found the name 'salun'", "amun_salun, ft"),
    ("tables.table1.forget", ["random20"], "tables.table1.forget: found the name 'random20'", "random10"),
    ("tables.table1.metrics", ["auc"], 'tables.table1.metrics.0: found "auc"', "ft_auc"),
    ("tables.table1.experiment", "cifar", "tables.table1.experiment: found", "digits"),
    ("training.scratch.learning_rate", "fast", 'training.scratch.learning_rate: found "fast"', "above 0"),
    ("methods.ft", {"transferred": True}, "methods.ft.transferred: 'ft' uses no adversarial examples", "remove"),
    ("methods.amun_salun.attack", "pgd", "methods.amun_salun.attack: found the name 'pgd'", "pgd50"),
    ("experiments.digits.unlearning", "slow", "experiments.digits.unlearning: found the name 'slow'", "finetune"),
    ("judges", {"experiments": ["cifar"]}, "judges.experiments: found the name 'cifar'", "digits"),
    ("judges", {"experiment": ["digits"]}, "judges: unknown key 'experiment'", "did you mean 'experiments'?"),
    ("judges", {"experiments": []}, "judges.experiments: found []", "at least one"),
    ("figures.fig1.recipe", "slow", "figures.fig1.recipe: found the name 'slow'", "scratch"),
    ("figures.fig1.forgets", "random10", "figures.fig1: unknown key 'forgets' for 'fine_tuning'", "'forget'"),
    ("figures.fig2.requests", ..., "figures.fig2: lacks the key 'requests' that 'requests' needs", ""),
    ("figures.fig2.kind", "request", 'figures.fig2.kind: found "request"', "requests"),
    ("figures.fig2.adaptive", ["ft"], "figures.fig2.adaptive: 'ft' uses no adversarial examples", "take it out"),
    ("figures.fig4.of.0.attack", "pgd", "figures.fig4.of.0.attack: found the name 'pgd'", "pgd50"),
    ("requests.two_of_5.fraction", 2, "requests.two_of_5.fraction: found 2", "strictly between 0 and 1"),
    ("training.scratch.clipping", {"bound": 1.0}, "training.scratch.clipping: lacks the key 'every'", ""),
    ("training.scratch.trades", {"beta": 6.0}, "training.scratch.trades: lacks the key", ""),
    ("rmia.gamma", 0.5, "rmia.gamma: found 0.5", "a number from 1"),
    ("figures.fig1.forget", ["random10"], 'figures.fig1.forget: found ["random10"], expected the name of one', ""),
    ("figures.fig5.forget", "random10", 'figures.fig5.forget: found "random10", expected a list', ""),
    ("figures.fig5.forget", [], "figures.fig5.forget: found []", "at least one"),
    ("figures.fig1.forget", None, "figures.fig1.forget: found null", "family of forget sets"),
    ("training.scratch.weight_decay", math.nan, "training.scratch.weight_decay: found nan", "a finite number"),
    ("training.scratch.learning_rate", math.inf, "training.scratch.learning_rate: found inf", "a finite number"),
    ("training.scratch.clipping", {"bound": 1.0, "every": 9}, "experiments.digits.network: 'scratch' clips", "false"),
    ("training.scratch.epochs", 4.0, "training.scratch.epochs: found 4.0", "a whole number"),
    ("training.scratch.epochs", 10**400, "training.scratch.epochs: found 1000", "1,000,000"),
    ("tuning.learning_rate", ["1e-2"], 'tuning.learning_rate.0: found "1e-2"', "YAML reads 1e-2 as text: write 1.0e-2"),
    (
        "attacks.pgd50.parameters.relative_step",
        "-1.5E3",
        'attacks.pgd50.parameters.relative_step: found "-1.5E3"',
        "write -1.5E+3",
    ),
    ("forget", {1: {"fraction": 0.1, "sets": 1}}, "forget: found 1, expected a name", ""),
    ("forget", {"a\n": {"fraction": 0.1, "sets": 1}}, 'forget: found "a\\n", expected a name', ""),
    ("forget.random10.fraction", 1e-4, "forget.random10.fraction: found 0.0001, which is 0 of 898", "one to forget"),
    ("forget.random10.fraction", 0.9999, "forget.random10.fraction: found 0.9999, which is 898 of 898", "one to keep"),
    ("requests.two_of_5.fraction", 1e-4, "requests.two_of_5.fraction: found 0.0001, which is 0 of 898", "2 times"),
    ("requests.two_of_5.fraction", 0.4999, "requests.two_of_5.fraction: found 0.4999, which is 449 of 898", "to keep"),
    (
        "datasets.digits.test_fraction",
        0.999,
        "datasets.digits.test_fraction: found 0.999, which is 1796",
        "at least 10",
    ),
    ("datasets.digits.test_fraction", 0.001, "datasets.digits.test_fraction: found 0.001, which is 2", "at least 10"),
    (
        "training.scratch.augmentation.crop_padding",
        8,
        "training.scratch.augmentation.crop_padding: found 8",
        "less than the 8x8 pixels of datasets.digits",
    ),
    ("unlearning.finetune.augmentation.crop_padding", 9, "unlearning.finetune.augmentation.crop_padding: found 9", ""),
    ("training.scratch.compile", "yes", 'training.scratch.compile: found "yes"', "true or false"),
    ("tuning.learning_rate", [0.1, 0.1], "tuning.learning_rate: found [0.1, 0.1]", "different"),
    ("attacks.pgd50.parameters.steps", "50", 'attacks.pgd50.parameters.steps: found "50"', "a whole number above 0"),
    ("attacks.pgd50.parameters.steps", 0, "attacks.pgd50.parameters.steps: found 0", "above 0"),
    (
        "attacks.pgd50.parameters.relative_step",
        -1,
        "attacks.pgd50.parameters.relative_step: found -1",
        "a number above 0",
    ),
    ("attacks.pgd50.parameters.restart", "no", 'attacks.pgd50.parameters.restart: found "no"', "true or false"),
    ("experiments.digits.network.width", "wide", 'experiments.digits.network.width: found "wide"', "a whole number"),
    (
        "experiments.digits.network.strides",
        2,
        "experiments.digits.network.strides: found 2, expected a list of whole numbers above 0; write [2]",
        "",
    ),
    ("experiments.digits.network.strides", [0], "experiments.digits.network.strides: found [0]", "numbers above 0"),
    (
        "experiments.digits.network",
        {"name": "vgg", "stages": [64, 128]},
        "experiments.digits.network.stages: found [64, 128], expected a list of lists of whole numbers above 0",
        "; write [[64, 128]]",
    ),
    (
        "datasets.digits",
        {"source": "image_folder", "folder": "pets", "size": 8, "channels": 1},
        "datasets.digits.size: found 8, expected [height, width] in pixels, two whole numbers such as [32, 32]",
        "",
    ),
    (
        "experiments.digits.network",
        {"name": "torchvision", "model": "resnet18", "parameters": "none"},
        'experiments.digits.network.parameters: found "none", expected a mapping or null',
        "",
    ),
    (
        "experiments.digits.network",
        {"name": "torchvision", "model": 18},
        "experiments.digits.network.model: found 18, expected text",
        "",
    ),
    (
        "methods.amun_salun.grid.include_forget",
        ["yes"],
        'methods.amun_salun.grid.include_forget: found "yes"',
        "true or false",
    ),
]


def test_the_good_config_is_good():
    assert len(views.load(GOOD).scored) == 5


@pytest.mark.parametrize(("path", "value", "begins", "contains"), WRONG, ids=[f"{p}={v}" for p, v, *_ in WRONG])
def test_a_mistake_is_named(path, value, begins, contains):
    with pytest.raises(ConfigError) as caught:
        views.load(changed(path, value))
    assert str(caught.value).startswith(begins)
    assert contains in str(caught.value)
    assert "\n" not in str(caught.value)


TYPE = re.compile(
    r"\b(dict|tuple|int|float|str|bool|None|NoneType|Sequence|Share|Size|(Positive|NonNegative)(Int|Float))\b"
    r"|\blist\[|\bvalid (integer|number|boolean|string|list|dictionary)|of type"
)
"""What Python, pydantic or JSON schema would call a type in a message."""


@pytest.mark.parametrize("value", [None, True, "text", "1e-2", -1, 0.5, [], [[]], ["text"], [None], {"a": 1}])
def test_no_message_shows_a_type_of_python(value):
    """Of any parameter of any module that a config can name."""
    said = []
    for room, function in {"attacks": "attack", "datasets": "read", "methods": "unlearn", "models": "build"}.items():
        for module in signatures.modules(room):
            for name in signatures.signature(f"amun_steps.{room}.{module}", function):
                try:
                    signatures.check_call("key", "name", room, module, function, {name: value})
                except ConfigError as error:
                    said.append(f"{error}")
    assert any(message.startswith("key.") for message in said)
    assert not [message for message in said if TYPE.search(message)]


@pytest.mark.parametrize("figure", ["fig2", "fig4"])
def test_a_figure_of_all_of_d_wants_adversarial_examples_of_all_of_d(figure):
    config = changed("experiments.digits.attacked", "forget")
    config["figures"] = {figure: config["figures"][figure]}
    with pytest.raises(
        ConfigError, match=rf"^figures.{figure}.*: 'digits' has attacked: forget, and this figure needs"
    ):
        views.load(config)


def test_so_does_the_clipped_experiment_of_a_figure():
    config = changed("experiments.clipped", GOOD["experiments"]["digits"] | {"attacked": "forget"})
    wanted = {"kind": "retrained_confidence", "experiment": "digits", "forget": ["random10"], "clipped": "clipped"}
    with pytest.raises(ConfigError, match=r"^figures.fig3: 'clipped' has attacked: forget"):
        views.load(config | {"figures": {"fig3": wanted}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"originals": {"count": 7, "training": "scratch"}}, "with originals: 7, expected"),
        ({"dataset": "others"}, 'with dataset: "others", expected "digits"'),
    ],
)
def test_a_figure_compares_clipped_models_point_by_point(change, message):
    config = changed("experiments.clipped", GOOD["experiments"]["digits"] | change)
    config["datasets"]["others"] = GOOD["datasets"]["digits"] | {"seed": 9}
    wanted = {"kind": "retrained_confidence", "experiment": "digits", "forget": ["random10"], "clipped": "clipped"}
    config["figures"] = {"fig3": wanted}
    with pytest.raises(ConfigError, match=rf"^figures.fig3.clipped: found an experiment {message}"):
        views.load(config)


def test_a_figure_s_method_can_do_with_its_access():
    config = changed("figures.fig5.method", "ft")
    config["figures"]["fig5"]["access"] = "without_remain"
    with pytest.raises(ConfigError, match=r"^figures.fig5.access: 'ft' needs D_R; expected with_remain"):
        views.load(config)


@pytest.mark.parametrize("changes", [{"methods": ["ft"]}, {"access_in": "columns"}])
def test_a_table_has_a_row_and_no_empty_cell(changes):
    config = changed("tables.table1.access", ["without_remain"])
    config["tables"]["table1"] |= changes
    with pytest.raises(ConfigError, match=r"^tables.table1.methods: found methods that need D_R"):
        views.load(config)


def test_requests_of_methods_that_need_all_data_have_no_empty_panel():
    config = changed("figures.fig2.methods", ["ft"])
    config["figures"]["fig2"]["adaptive"] = []
    panels = views.figure(views.load(config), "fig2").stage.parameters["panels"]
    assert [panel["title"] for panel in panels] == ["with $D_R$"] * 2


def test_transferred_examples_need_another_original():
    config = changed("methods.amun_salun.transferred", True)
    config["experiments"]["digits"]["originals"]["count"] = 1
    with pytest.raises(ConfigError, match=r"^experiments.digits.originals.count: found 1, expected at least 2"):
        views.load(config)


def test_requests_that_are_more_than_the_training_set_are_an_error():
    config = changed("requests.two_of_5.fraction", 0.6)
    with pytest.raises(ConfigError, match=r"^requests.two_of_5: found 2 requests of 0.6, expected less than 1 in all"):
        views.load(config)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "vgg", "stages": [[2]] * 4}, "ValueError: stages: found 4, too many for images of 8x8 pixels"),
        ({"name": "small_resnet", "width": 10**18, "strides": [2], "stem_stride": 1}, "RuntimeError: "),
    ],
)
def test_a_network_that_cannot_take_the_images_is_named_until_it_was_trained(network, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = views.load(changed("experiments.digits.network", network))
    begins = (
        f"experiments.digits.network: '{network['name']}' does not work for images of 1x8x8 and 10 classes (digits): "
    )
    with pytest.raises(ConfigError, match=re.escape(begins + message)):
        try_networks(plan)
    trained = Path(plan.experiments["digits"].originals().file("originals.safetensors"))
    trained.parent.mkdir(parents=True)
    trained.touch()
    try_networks(plan)


def test_what_a_reader_does_not_say_is_left_to_the_jobs(monkeypatch, tmp_path):
    """A reader of one's own that says no sizes: nothing is held against them, and nothing is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        signatures, "find_function", lambda module, name: None if name == "sizes" else find_function(module, name)
    )
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    config = changed("forget.random10.fraction", 1e-4)
    config["experiments"]["digits"]["network"] = {"name": "vgg", "stages": [[2]] * 4}
    try_networks(views.load(config))


def test_the_keys_of_a_figure_are_what_its_plan_takes():
    for kind, function in views.FIGURES.items():
        assert figures.FIGURES[kind] == tuple(inspect.signature(function).parameters)[2:]
    assert list(figures.FIGURES) == list(views.FIGURES)


def test_snakemake_stops_with_the_message_before_any_job(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(changed("experiments.digits.references.count", 127)))
    command = [sys.executable, "-m", "snakemake", "--configfile", str(path), "--cores", "1"]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=False)
    assert done.returncode != 0
    message = "experiments.digits.references.count: found 127, expected an even number"
    assert message in done.stdout + done.stderr
    assert "wrong.yaml" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_snakemake_refuses_what_its_own_reading_lets_pass(tmp_path):
    """In real runs: a key given twice in the second of two files, and a network that does not work; no job runs."""
    where = clone(tmp_path / "clone")
    twice, deep = where / "twice.yaml", where / "deep.yaml"
    twice.write_text("seed: 1\nseed: 2\n")
    deep.write_text("experiments: {digits: {network: {name: vgg, stages: [[2], [2], [2], [2]]}}}\n")
    base = changed("experiments.digits.network", {"name": "vgg"})  # Snakemake merges mappings
    (where / "base.yaml").write_text(yaml.safe_dump(base))
    for second, message in (
        (twice, f"{twice}, line 2, column 1: the key seed is given twice"),
        (deep, "found 4, too many"),
    ):
        command = [sys.executable, "-m", "snakemake", "--configfile", "base.yaml", str(second), "--cores", "1"]
        done = subprocess.run(command, cwd=where, text=True, capture_output=True, check=False)
        assert done.returncode != 0
        assert message in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert not (where / "results" / "store").exists()


@pytest.mark.parametrize("name", ["quickstart.yaml", "compare.yaml", "ensemble.yaml", "fashion.yaml", "config.yaml"])
def test_the_configs_that_come_with_the_project_are_right(name):
    config = yaml.safe_load((REPOSITORY / "config" / name).read_text())
    plan = views.load(config)
    assert {s.method for s in plan.scored} == {"retrained", "original", *config["methods"]}


def test_the_ensemble_has_as_many_models_of_each_set_as_the_judges_of_distributions_want():
    """As many as KLoM's authors have, all independent: an original for each unlearned model."""
    plan = views.load(yaml.safe_load((REPOSITORY / "config" / "ensemble.yaml").read_text()))
    unlearned = [stage for stage in plan.stages.values() if stage.kind == "unlearned"]
    assert len(unlearned) == 11
    for stage in unlearned:
        assert (stage.builds_on["originals"].count, stage.parameters["runs"]) == (100, 1)
        assert stage.builds_on["forget"].parameters["sets"] == 3
    assert {stage.count for stage in plan.stages.values() if stage.kind == "retrained"} == {100}
    assert len([stage for stage in plan.stages.values() if stage.kind == "shadows"]) == 11
    assert all(scored.judged for scored in plan.scored)
    assert max(ENOUGH.values()) <= 100


def test_a_stage_s_address_covers_what_it_builds_on():
    """A changed recipe moves everything but the data; a changed method moves only its own stages."""
    before = {s.folder for s in views.load(GOOD).stages.values()}
    recipe = {s.folder for s in views.load(changed("training.scratch.epochs", 5)).stages.values()}
    assert {f.name.rsplit("-", 1)[0] for f in before & recipe} == {"digits", "random10", "inclusion4", "two_of_5"}
    grid = changed("methods.amun_salun.grid.mask_ratio", [0.3])
    moved = before - {s.folder for s in views.load(grid).stages.values()}
    assert moved
    assert all("amun_salun" in str(folder) for folder in moved)
