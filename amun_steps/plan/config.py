"""The check of a config: every mistake is named, with its key and what is allowed, before anything is computed."""

import ast
import difflib
import functools
import importlib
import json
import math
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import yaml

from amun_steps.datasets import Sizes, share_of
from amun_steps.store.addresses import PACKAGE, leaves, module_file
from amun_steps.store.content import digest
from amun_steps.store.step import InputError

TYPES = {"Sequence": Sequence} | {
    name: getattr(pydantic, name) for name in ("PositiveInt", "PositiveFloat", "NonNegativeInt", "NonNegativeFloat")
}
"""What a parameter of a network, method, attack or reader may be annotated with, beside Python's own types."""

LONGEST = 200  # characters of a value in a message
LEVELS = 20

SCHEMA = Path(__file__).parent / "config.schema.yaml"


class ConfigError(InputError):
    """A config that cannot be run; the message names the key, what was found, what is allowed."""


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it, is faster


def read(path: Path) -> Any:
    """What a YAML file says.

    Raises ConfigError, with the file, line and column, for one that cannot be read, for what is no YAML, and for a key
    that is given twice: YAML forbids it, but its parsers take the last one.
    """

    def wrong(line: int, column: int, what: str) -> ConfigError:
        return ConfigError(f"{path}, line {line + 1}, column {column + 1}: {what}")

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        before = text[: unprintable.start()]
        column = len(before) - before.rfind("\n") - 1
        raise wrong(before.count("\n"), column, f"found {unprintable[0]!r}, which YAML does not allow")
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        for mark, what in _mistakes(node, "", loader, set()):
            raise wrong(mark.line, mark.column, what)
        return loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        tab = "\n".join(text.split("\n")[mark.line :])[mark.column :].startswith("\t")
        why = f"{error.problem}{'; indent by spaces, not by tabs' * tab}"
        raise wrong(mark.line, mark.column, why) from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None


def _mistakes(
    node: yaml.Node | None, key: str, loader: yaml.constructor.BaseConstructor, seen: set[int]
) -> Iterator[tuple[yaml.Mark, str]]:
    """Where in the node at a dotted key, and in those inside it, what is wrong that YAML parsers let pass, or raise
    other errors for: keys that are given twice, and scalars that are not what they look like, such as 2026-13-01."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        try:
            loader.construct_object(node)
        except ValueError as error:
            yield node.start_mark, f"{key}: found {node.value}: {error}"
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _mistakes(item, f"{key}.{number}".lstrip("."), loader, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, Any], yaml.Mark] = {}
        for name, value in node.value:
            inner = f"{key}.{name.value}".lstrip(".")
            if isinstance(name, yaml.ScalarNode) and name.tag != "tag:yaml.org,2002:merge":
                yield from _mistakes(name, inner, loader, seen)
                mark = first.setdefault((name.tag, name.value), name.start_mark)
                if mark is not name.start_mark:
                    yield name.start_mark, f"the key {inner} is given twice, first in line {mark.line + 1}; remove one"
            yield from _mistakes(value, inner, loader, seen)


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), LOADER)
    # JSON's 3.0 is an integer, Python's is not
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming key, value and what is allowed, for the first thing that is wrong in a config."""
    for section, content in config.items() if isinstance(config, Mapping) else ():
        if _deeper(content, LEVELS):  # what comes would end at Python's limit of recursion
            raise ConfigError(f"{section}: found more than {LEVELS} levels of lists and mappings in each other")
    error = jsonschema.exceptions.best_match(_validator().iter_errors(config))
    if error is not None:
        raise ConfigError(_explain(error))
    for key, value in leaves(config):
        _check_number(key, value)
    sizes = {}
    for name, dataset in config["datasets"].items():
        parameters = {key: value for key, value in dataset.items() if key != "source"}
        _calls(f"datasets.{name}", "source", "datasets", dataset["source"], "read", parameters)
        try:
            sizes[name] = said_sizes(dataset["source"], parameters)
        except InputError as error:
            raise ConfigError(f"datasets.{name}.{error}") from None
    for name, attack in config["attacks"].items():
        _calls(
            f"attacks.{name}.parameters", "algorithm", "attacks", attack["algorithm"], "attack", attack["parameters"]
        )
    for name, method in config["methods"].items():
        module = method.get("module", name)
        _calls(f"methods.{name}", "module", "methods", module, "unlearn", method.get("grid", {}), lists=True)
        adversarial = "adversarial" in method_needs(module)
        for key in ("attack", "transferred"):
            if key in method and not adversarial:
                raise ConfigError(f"methods.{name}.{key}: '{module}' uses no adversarial examples; remove the key")
        if "attack" in method:
            _known(f"methods.{name}.attack", method["attack"], config["attacks"])
    for name, experiment in config["experiments"].items():
        at = f"experiments.{name}"
        _known(f"{at}.dataset", experiment["dataset"], config["datasets"])
        network = {key: value for key, value in experiment["network"].items() if key not in ("name", "normalise")}
        _calls(f"{at}.network", "name", "models", experiment["network"]["name"], "build", network)
        _known(f"{at}.attack", experiment["attack"], config["attacks"])
        _known(f"{at}.unlearning", experiment["unlearning"], config["unlearning"])
        for role in ("originals", "references", "retrained"):
            _known(f"{at}.{role}.training", experiment[role]["training"], config["training"])
            recipe = experiment[role]["training"]
            can_normalise = "batch_norm" in _signature(f"amun_steps.models.{experiment['network']['name']}", "build")
            if "clipping" in config["training"][recipe] and can_normalise and network.get("batch_norm", True):
                raise ConfigError(
                    f"{at}.network: '{recipe}' clips spectral norms, which batch normalisation would scale up again;"
                    " set batch_norm: false"
                )
        for key in ("forget", "methods"):
            for value in experiment[key]:
                _known(f"{at}.{key}", value, config[key])
        for family in experiment["forget"]:
            _check_share("forget", family, config, experiment["dataset"], sizes)
        for role in ("originals", "references", "retrained"):
            _check_padding("training", experiment[role]["training"], config, experiment["dataset"], sizes)
        _check_padding("unlearning", experiment["unlearning"], config, experiment["dataset"], sizes)
        for method in experiment["methods"]:
            if config["methods"][method].get("transferred") and experiment["originals"]["count"] < 2:
                raise ConfigError(
                    f"{at}.originals.count: found 1, expected at least 2: '{method}' takes the adversarial examples of"
                    " other original models"
                )
        for original in config["tuning"]["originals"]:
            if original >= experiment["originals"]["count"]:
                raise ConfigError(
                    f"tuning.originals: found {original}, expected numbers below {at}.originals.count, "
                    f"which is {experiment['originals']['count']}"
                )
    for name, wanted in config["requests"].items():
        if wanted["requests"] * wanted["fraction"] >= 1:
            raise ConfigError(
                f"requests.{name}: found {wanted['requests']} requests of {wanted['fraction']:g}, expected less than 1"
                " in all: they are disjoint shares of the training set, and something is to be kept"
            )
    for name, figure in config["figures"].items():
        _check_figure(f"figures.{name}", figure, config)
        dataset = config["experiments"][figure["experiment"]]["dataset"] if "experiment" in figure else ""
        if "requests" in figure:
            _check_share("requests", figure["requests"], config, dataset, sizes)
        if "recipe" in figure:
            _check_padding("training", figure["recipe"], config, dataset, sizes)
    for name, table in config["tables"].items():
        _known(f"tables.{name}.experiment", table["experiment"], config["experiments"])
        for key in ("methods", "forget"):
            for value in table[key]:
                _known(f"tables.{name}.{key}", value, config["experiments"][table["experiment"]][key])
        able = [[m for m in table["methods"] if _can(config, m, access)] for access in table["access"]]
        if not any(able) or (table.get("access_in") == "columns" and min(map(len, able)) < len(table["methods"])):
            raise ConfigError(
                f"tables.{name}.methods: found methods that need D_R with the access without_remain; take them out, or"
                " that access"
            )


def _can(config: Mapping[str, Any], method: str, access: str) -> bool:
    """Whether a method of the config can do with this access."""
    return access == "with_remain" or "remain" not in method_needs(config["methods"][method].get("module", method))


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings lie in each other more than so many levels deep."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return bool(inside) and (not levels or any(_deeper(item, levels - 1) for item in inside))


def _check_number(key: str, value: Any) -> None:
    """Raise ConfigError for NaN, an infinity, or a whole number that is too large to be told from one."""
    try:
        if not isinstance(value, int | float) or math.isfinite(value):
            return
    except OverflowError:
        pass
    found = value if isinstance(value, float) else _shown(value)
    raise ConfigError(f"{key}: found {found}, expected a finite number")


def said_sizes(source: str, parameters: Mapping[str, Any]) -> Sizes | None:
    """What a reader says of the data set that it will read; None for one that does not say.

    Raises InputError, beginning with the parameter, for parameters that the reader refuses.
    """
    module = f"amun_steps.datasets.{source}"
    if _function(module, "sizes") is None:  # not even imported, as that may take long
        return None
    return importlib.import_module(module).sizes(**parameters)


def said_content(source: str, parameters: Mapping[str, Any]) -> str | None:
    """SHA-256 of what is in the files of a data set that are somebody's own; None for one whose files are known."""
    module = f"amun_steps.datasets.{source}"
    if _function(module, "files") is None:
        return None
    return digest(importlib.import_module(module).files(**parameters))


Known = Mapping[str, Sizes | None]
"""The sizes of each data set of a config; None where they are not known before its files are read."""


def _check_share(section: str, name: str, config: Mapping[str, Any], dataset: str, sizes: Known) -> None:
    """Raise ConfigError for forget sets or requests that leave nothing of a data set to forget, or nothing to keep."""
    wanted, known = config[section][name], sizes[dataset]
    if known is not None:
        try:
            share_of(known.train, wanted["fraction"], f"{section}.{name}.fraction", wanted.get("requests", 1))
        except InputError as error:
            raise ConfigError(f"{error} (datasets.{dataset})") from None


def _check_padding(section: str, recipe: str, config: Mapping[str, Any], dataset: str, sizes: Known) -> None:
    """Raise ConfigError for a recipe whose random crops could have nothing of a data set's images."""
    padding, known = config[section][recipe]["augmentation"]["crop_padding"], sizes[dataset]
    if known is not None and padding >= min(known.shape[1:]):
        height, width = known.shape[1:]
        raise ConfigError(
            f"{section}.{recipe}.augmentation.crop_padding: found {padding}, expected less than the"
            f" {height}x{width} pixels of datasets.{dataset}: a crop could have nothing of the image"
        )


FIGURES = {
    "fine_tuning": ("experiment", "forget", "recipe"),
    "requests": ("experiment", "requests", "tuned_on", "methods", "adaptive", "show"),
    "retrained_confidence": ("experiment", "forget", "clipped"),
    "unlearned_confidence": ("experiment", "forget", "method", "access"),
    "epsilons": ("of",),
    "attack_distances": ("experiment", "attacks"),
}
"""The kinds of figures and their keys."""


def _check_figure(at: str, figure: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise ConfigError for a figure, found at the key `at`, whose keys are not its kind's or that names nothing."""
    keys = FIGURES[figure["kind"]]
    for key in figure:
        if key not in (*keys, "kind"):
            raise ConfigError(f"{at}: unknown key {key!r} for '{figure['kind']}', expected one of {_names(key, keys)}")
    for key in keys:
        if key not in figure:
            raise ConfigError(f"{at}: lacks the key '{key}' that '{figure['kind']}' needs")
    if "forget" in figure and isinstance(figure["forget"], str) != (figure["kind"] == "fine_tuning"):
        wanted = "the name of one family" if figure["kind"] == "fine_tuning" else "a list of families"
        raise ConfigError(f"{at}.forget: found {_shown(figure['forget'])}, expected {wanted} of forget sets")
    pairs = figure.get("of", [figure])
    for number, pair in enumerate(pairs):
        where = f"{at}.of.{number}" if "of" in figure else at
        _known(f"{where}.experiment", pair["experiment"], config["experiments"])
        if "attack" in pair:
            _known(f"{where}.attack", pair["attack"], config["attacks"])
    experiment = config["experiments"][pairs[0]["experiment"]]
    named = {
        "forget": experiment["forget"],
        "tuned_on": experiment["forget"],
        "recipe": config["training"],
        "clipped": config["experiments"],
        "requests": config["requests"],
        "method": experiment["methods"],
        "methods": experiment["methods"],
        "adaptive": figure.get("methods", ()),
        "attacks": config["attacks"],
    }
    for key in set(named) & set(figure):
        for value in figure[key] if isinstance(figure[key], list) else [figure[key]]:
            _known(f"{at}.{key}", value, named[key])
    for key in ("clipping", "trades"):
        if "recipe" in figure and key in config["training"][figure["recipe"]]:
            raise ConfigError(f"{at}.recipe: '{figure['recipe']}' has {key}, which fine-tuning here does without")
    if "access" in figure and not _can(config, figure["method"], figure["access"]):
        raise ConfigError(f"{at}.access: '{figure['method']}' needs D_R; expected with_remain")
    for method in figure.get("adaptive", ()):
        if "adversarial" not in method_needs(config["methods"][method].get("module", method)):
            raise ConfigError(f"{at}.adaptive: '{method}' uses no adversarial examples; take it out")
    for method in figure.get("methods", ()):
        if config["methods"][method].get("transferred"):
            raise ConfigError(f"{at}.methods: '{method}' takes other models' adversarial examples; take it out")


def _known(key: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ConfigError unless `value`, found at `key`, is one of the allowed names."""
    if value not in allowed:
        raise ConfigError(f"{key}: found the name {value!r}, expected one of {_names(value, allowed)}")


def _calls(
    key: str,
    chooser: str,
    package: str,
    module: str,
    function: str,
    parameters: Mapping[str, Any],
    *,
    lists: bool = False,
) -> None:
    """Raise ConfigError unless `parameters`, found at `key`, are what the chosen module's function takes.

    `chooser` is the key beside them, or in them, that chose the module. lists: each is a list of values to try.
    """
    where = key if key.startswith("methods") else f"{key.removesuffix('.parameters')}.{chooser}"
    _known(where, module, modules(package))
    allowed = _signature(f"amun_steps.{package}.{module}", function)
    for name, values in parameters.items():
        if name not in allowed:
            expected = f"expected one of {_names(name, allowed)}" if allowed else f"'{module}' has no keyword-only one"
            raise ConfigError(f"{key}: unknown parameter {name!r}, {expected}")
        for value in values if lists else [values]:
            _typed(f"{key}{'.grid' * lists}.{name}", value, allowed[name].annotation)
    for name, parameter in allowed.items():
        if parameter.required and name not in parameters:
            raise ConfigError(f"{key}: lacks the parameter '{name}' that '{module}' needs")


def _typed(key: str, value: Any, annotation: str) -> None:
    """Raise ConfigError unless `value`, found at `key`, is what the parameter is annotated with."""
    try:
        hint = eval(annotation, dict(TYPES))  # of this project's own source
    except NameError:  # a type that only the module itself knows
        return
    try:
        pydantic.TypeAdapter(hint).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        what, hint = first["msg"].removeprefix("Input should be "), _hint(first["input"])
        raise ConfigError(f"{key}: found {_shown(value)}, expected {what} ({annotation}){hint}") from None


def _shown(value: Any) -> str:
    """A value as JSON, for people: cut where it is long, in some other way where JSON has none."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, TypeError, RecursionError):
        text = reprlib.repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _hint(value: Any) -> str:
    """What to write in place of text that looks like a number."""
    number = re.fullmatch(r"([-+]?\d+)(\.\d*)?([eE])([-+]?)(\d+)", value) if isinstance(value, str) else None
    if number is None:
        return ""
    whole, part, e, sign, exponent = number.groups()
    return f"; YAML reads {value} as text: write {whole}{part or '.0'}{e}{sign or '+'}{exponent}"


def _names(value: Any, allowed: Iterable[str]) -> str:
    """The allowed names, and the one that was perhaps meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(value), names, n=1)
    return ", ".join(names) + (f"; did you mean '{close[0]}'?" if close else "")


def _explain(error: jsonschema.ValidationError) -> str:
    """A schema's complaint as one sentence: the key, what was found, what is allowed."""
    key = ".".join(map(str, error.absolute_path)) or "the config"
    allowed = error.schema.get("description")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(name for name in error.instance if name not in known)
        return f"{key}: unknown key {unknown!r}, expected one of {_names(unknown, known)}"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        wanted = error.schema["properties"][missing[0]].get("description", "")
        return f"{key}: lacks the key '{missing[0]}'" + (f" ({wanted})" if wanted else "")
    return f"{key}: found {_shown(error.instance)}, expected {allowed or error.message}{_hint(error.instance)}"


@functools.cache
def _syntax(path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}") from None


def modules(package: str) -> list[str]:
    """The names that a config may use for modules of `amun_steps.<package>`."""
    return sorted(p.stem for p in (PACKAGE / package).glob("*.py") if p.stem != "__init__")


def method_needs(method: str) -> tuple[str, ...]:
    """What a module of `amun_steps.methods` declares in `NEEDS`: "remain" (D_R), "adversarial" (D_A), or nothing.

    Read from its syntax, since importing it would import torch. Raises ConfigError where it declares nothing.
    """
    path = module_file(f"amun_steps.methods.{method}")
    for node in _syntax(path):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NEEDS":
            try:
                needs = ast.literal_eval(node.value)
            except ValueError:
                needs = None
            if isinstance(needs, tuple) and set(needs) <= {"remain", "adversarial"}:
                return needs
    raise ConfigError(f'{path}: lacks NEEDS = (...), a tuple of "remain" and "adversarial", whichever the method needs')


@dataclass(frozen=True)
class Parameter:
    """What the source says of a parameter: its annotation, as text, and whether it has no default."""

    annotation: str
    required: bool


def _signature(module: str, function: str) -> dict[str, Parameter]:
    """The keyword-only parameters of a module's function, by name, from its syntax."""
    node = _function(module, function)
    if node is None:
        raise ConfigError(f"{module_file(module)}: lacks the function '{function}'; see the folder's __init__.py")
    return {
        a.arg: Parameter(ast.unparse(a.annotation) if a.annotation else "object", default is None)
        for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }


def _function(module: str, name: str) -> ast.FunctionDef | None:
    """The syntax of a module's function; None where it has none of this name."""
    found = (node for node in _syntax(module_file(module)) if isinstance(node, ast.FunctionDef) and node.name == name)
    return next(found, None)
