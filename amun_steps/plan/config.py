"""The check of a config: every mistake is named, with its key and what is allowed, before anything is computed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amun_steps.datasets import Sizes, share_of
from amun_steps.plan import figures, given, judges, replicates
from amun_steps.plan.forget import check_family, family_of
from amun_steps.plan.messages import ConfigError, known
from amun_steps.plan.schema import check_schema
from amun_steps.plan.signatures import check_call, method_needs, said_sizes, signature
from amun_steps.plan.tuning import SCHEDULE, check_grid
from amun_steps.store.addresses import PACKAGE
from amun_steps.store.plugins import PLUGINS, ROOMS
from amun_steps.store.step import InputError

ACCESS = ("with_remain", "without_remain")

ROLES = ("originals", "references", "retrained")
"""What is trained from scratch, each kind by a recipe of its own."""

Known = Mapping[str, Sizes | None]
"""The sizes of each data set of a config; None where they are not known before its files are read."""


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming key, value and what is allowed, for the first thing that is wrong in a config."""
    check_schema(config)
    _use_plugins(config)
    sizes = _check_datasets(config)
    for name, attack in config["attacks"].items():
        given = attack["parameters"]
        check_call(f"attacks.{name}.parameters", "algorithm", "attacks", attack["algorithm"], "attack", given)
    for name in config["methods"]:
        _check_method(name, config)
    for name, wanted in config["forget"].items():
        try:
            family_of(wanted)
        except InputError as error:
            raise ConfigError(f"forget.{name}.indices: {error}") from None
    for name in config["experiments"]:
        _check_experiment(name, config, sizes)
    for name, wanted in config["requests"].items():
        if wanted["requests"] * wanted["fraction"] >= 1:
            raise ConfigError(
                f"requests.{name}: found {wanted['requests']} requests of {wanted['fraction']:g}, expected less than 1"
                " in all: they are disjoint shares of the training set, and something is to be kept"
            )
    for name in config["figures"]:
        _check_figure(name, config, sizes)
    for name in config["tables"]:
        _check_table(name, config)
    replicates.check(config)
    judges.check(config)


def _use_plugins(config: Mapping[str, Any]) -> None:
    """Let the modules of a config's own folder be found. Raises ConfigError for one that has none, or has a module that
    the package has."""
    folder = Path(config["plugins"]) if "plugins" in config else None
    PLUGINS.use(folder)
    if folder is None:
        return
    if not folder.is_dir():
        raise ConfigError(f"plugins: found {folder}, which is no folder here ({Path.cwd()})")
    if not any((folder / room).is_dir() for room in ROOMS):
        raise ConfigError(f"plugins: found {folder}, which has none of the folders {', '.join(ROOMS)}")
    for room in ROOMS:
        for file in sorted((folder / room).iterdir()) if (folder / room).is_dir() else ():
            if file.suffix == ".py" and (PACKAGE / room / file.name).exists():
                raise ConfigError(f"{file}: '{file.stem}' is the name of one of {room} here already; rename the file")


def _check_datasets(config: Mapping[str, Any]) -> Known:
    """Raise ConfigError for a data set whose reader does not take its parameters; the sizes of all that say theirs."""
    sizes = {}
    for name, dataset in config["datasets"].items():
        parameters = {key: value for key, value in dataset.items() if key != "source"}
        check_call(f"datasets.{name}", "source", "datasets", dataset["source"], "read", parameters)
        try:
            sizes[name] = said_sizes(dataset["source"], parameters)
        except InputError as error:
            raise ConfigError(f"datasets.{name}.{error}") from None
    return sizes


def _check_method(name: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a method whose module does not take its grid, or has no use for its other keys."""
    method = config["methods"][name]
    if "files" in method:
        _check_submission(name, method)
        return
    if "access" in method:
        raise ConfigError(f"methods.{name}.access: is for a submission, with files; where a method can do, it is run")
    module = method.get("module", name)
    grid = {key: values for key, values in method.get("grid", {}).items() if key not in SCHEDULE}
    check_call(f"methods.{name}", "module", "methods", module, "unlearn", grid, lists=True)
    check_grid(name, config)
    adversarial = "adversarial" in method_needs(module)
    for key in ("attack", "transferred"):
        if key in method and not adversarial:
            raise ConfigError(f"methods.{name}.{key}: '{module}' uses no adversarial examples; remove the key")
    if "attack" in method:
        known(f"methods.{name}.attack", method["attack"], config["attacks"])


def _check_submission(name: str, method: Mapping[str, Any]) -> None:
    """Raise ConfigError for a submission that does not say its access, or says how it would be run."""
    if "access" not in method:
        raise ConfigError(f"methods.{name}: lacks the key 'access' (what made the files had: {' or '.join(ACCESS)})")
    for key in method:
        if key not in ("files", "access"):
            raise ConfigError(
                f"methods.{name}.{key}: has no use beside files, which nothing is run for; remove the key"
            )


def _check_experiment(name: str, config: Mapping[str, Any], sizes: Known) -> None:
    """Raise ConfigError for an experiment that names nothing, or whose parts do not go together."""
    at, experiment = f"experiments.{name}", config["experiments"][name]
    dataset = experiment["dataset"]
    given.check_keys(at, experiment)
    known(f"{at}.dataset", dataset, config["datasets"])
    _check_network(f"{at}.network", experiment, config)
    known(f"{at}.attack", experiment["attack"], config["attacks"])
    known(f"{at}.unlearning", experiment["unlearning"], config["unlearning"])
    for key in ("forget", "methods"):
        for value in experiment[key]:
            known(f"{at}.{key}", value, config[key])
    for family in experiment["forget"]:
        references = experiment["references"]["count"]
        check_family(f"forget.{family}", config["forget"][family], sizes[dataset], references, dataset)
    given.check(at, config, experiment)
    for role in _trained(experiment):
        _check_padding("training", experiment[role]["training"], config, dataset, sizes)
    _check_padding("unlearning", experiment["unlearning"], config, dataset, sizes)
    count, from_files = given.count_of(experiment), "files" in experiment["originals"]
    key = f"{at}.originals.files" if from_files else f"{at}.originals.count"
    for method in experiment["methods"]:
        if config["methods"][method].get("transferred") and count < 2:
            raise ConfigError(
                f"{key}: found {count}, expected at least 2: '{method}' takes the adversarial examples of other"
                " original models"
            )
    for original in config["tuning"]["originals"]:
        if original >= count:
            which = f"{key}, which {'are' if from_files else 'is'} {count}"
            raise ConfigError(f"tuning.originals: found {original}, expected numbers below {which}")


def _check_network(at: str, experiment: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a network, found at the key `at`, whose module does not take its parameters, and for
    recipes of an experiment that are not there or that the network cannot be trained by."""
    network = {key: value for key, value in experiment["network"].items() if key not in ("name", "normalise")}
    check_call(at, "name", "models", experiment["network"]["name"], "build", network)
    can_normalise = "batch_norm" in signature(f"amun_steps.models.{experiment['network']['name']}", "build")
    for role in _trained(experiment):
        recipe = experiment[role]["training"]
        known(f"{at.removesuffix('network')}{role}.training", recipe, config["training"])
        if "clipping" in config["training"][recipe] and can_normalise and network.get("batch_norm", True):
            raise ConfigError(
                f"{at}: '{recipe}' clips spectral norms, which batch normalisation would scale up again;"
                " set batch_norm: false"
            )


def _trained(experiment: Mapping[str, Any]) -> list[str]:
    """Which of ROLES an experiment trains; the others are taken from files."""
    return [role for role in ROLES if "files" not in experiment[role]]


def _check_table(name: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a table of what its experiment does not have, or cannot do."""
    table = config["tables"][name]
    known(f"tables.{name}.experiment", table["experiment"], config["experiments"])
    for key in ("methods", "forget"):
        for value in table[key]:
            known(f"tables.{name}.{key}", value, config["experiments"][table["experiment"]][key])
    able = [[m for m in table["methods"] if can(config, m, access)] for access in table["access"]]
    if not any(able) or (table.get("access_in") == "columns" and min(map(len, able)) < len(table["methods"])):
        raise ConfigError(
            f"tables.{name}.methods: found methods that need D_R with the access without_remain, or submissions with"
            " the other access; take them out, or that access"
        )


def can(config: Mapping[str, Any], method: str, access: str) -> bool:
    """Whether a method of the config can do with this access; a submission, whether it had it."""
    if "files" in config["methods"][method]:
        return access == config["methods"][method]["access"]
    return access == "with_remain" or "remain" not in method_needs(config["methods"][method].get("module", method))


def _check_figure(name: str, config: Mapping[str, Any], sizes: Known) -> None:
    """Raise ConfigError for a figure whose keys are not its kind's, that names nothing, or whose parts do not go
    together."""
    at, figure = f"figures.{name}", config["figures"][name]
    figures.check_keys(at, figure)
    figures.check_names(at, figure, config)
    dataset = config["experiments"][figure["experiment"]]["dataset"] if "experiment" in figure else ""
    if "requests" in figure:
        _check_requests(figure["requests"], config, dataset, sizes)
    if "recipe" in figure:
        _check_padding("training", figure["recipe"], config, dataset, sizes)
        for key in ("clipping", "trades"):
            if key in config["training"][figure["recipe"]]:
                raise ConfigError(f"{at}.recipe: '{figure['recipe']}' has {key}, which fine-tuning here does without")
    if "access" in figure and not can(config, figure["method"], figure["access"]):
        method, other = figure["method"], ACCESS[figure["access"] == ACCESS[0]]
        why = "is a submission with the other access" if "files" in config["methods"][method] else "needs D_R"
        raise ConfigError(f"{at}.access: '{method}' {why}; expected {other}")
    for method in figure.get("methods", ()):
        if "files" in config["methods"][method]:
            raise ConfigError(f"{at}.methods: '{method}' is a submission, which answers no other requests; take it out")
        if config["methods"][method].get("transferred"):
            raise ConfigError(f"{at}.methods: '{method}' takes other models' adversarial examples; take it out")
    for method in figure.get("adaptive", ()):
        if "adversarial" not in method_needs(config["methods"][method].get("module", method)):
            raise ConfigError(f"{at}.adaptive: '{method}' uses no adversarial examples; take it out")


def _check_requests(name: str, config: Mapping[str, Any], dataset: str, sizes: Known) -> None:
    """Raise ConfigError for requests that leave nothing of a data set to forget, or nothing to keep."""
    wanted, said = config["requests"][name], sizes[dataset]
    if said is not None:
        try:
            share_of(said.train, wanted["fraction"], f"requests.{name}.fraction", wanted["requests"])
        except InputError as error:
            raise ConfigError(f"{error} (datasets.{dataset})") from None


def _check_padding(section: str, recipe: str, config: Mapping[str, Any], dataset: str, sizes: Known) -> None:
    """Raise ConfigError for a recipe whose random crops could have nothing of a data set's images."""
    padding, said = config[section][recipe]["augmentation"]["crop_padding"], sizes[dataset]
    if said is not None and padding >= min(said.shape[1:]):
        height, width = said.shape[1:]
        raise ConfigError(
            f"{section}.{recipe}.augmentation.crop_padding: found {padding}, expected less than the"
            f" {height}x{width} pixels of datasets.{dataset}: a crop could have nothing of the image"
        )
