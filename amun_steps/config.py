"""The check of a config: every mistake is named, with its key and what is allowed, before anything is computed."""

import ast
import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import yaml

from amun_steps.addresses import PACKAGE, module_file

TYPES = {"Sequence": Sequence} | {
    name: getattr(pydantic, name) for name in ("PositiveInt", "PositiveFloat", "NonNegativeInt", "NonNegativeFloat")
}
"""What a parameter of a network, method, attack or reader may be annotated with, beside Python's own types."""

SCHEMA = PACKAGE.parent / "workflow" / "schemas" / "config.schema.yaml"


class ConfigError(ValueError):
    """A config that cannot be run; the message names the key, what was found, what is allowed."""


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming key, value and what is allowed, for the first thing that is wrong in a config."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise ConfigError(_explain(error))
    for key, value in leaves(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key}: found {value}, expected a finite number")
    for name, dataset in config["datasets"].items():
        parameters = {key: value for key, value in dataset.items() if key != "source"}
        _calls(f"datasets.{name}", "source", "datasets", dataset["source"], "read", parameters)
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
        network = {key: value for key, value in experiment["network"].items() if key != "name"}
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
        if wanted["requests"] * wanted["fraction"] > 1:
            raise ConfigError(
                f"requests.{name}: found {wanted['requests']} requests of {wanted['fraction']:g}, expected at most 1 in"
                " all: they are disjoint shares of the training set"
            )
    for name, figure in config["figures"].items():
        _check_figure(f"figures.{name}", figure, config)
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


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All values in nested mappings and lists, with their dotted keys."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield key, value
    else:
        for name, part in items:
            yield from leaves(part, f"{key}.{name}".lstrip("."))


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
            raise ConfigError(f"{at}: unknown key '{key}' for '{figure['kind']}', expected one of {_names(key, keys)}")
    for key in keys:
        if key not in figure:
            raise ConfigError(f"{at}: lacks the key '{key}' that '{figure['kind']}' needs")
    if "forget" in figure and isinstance(figure["forget"], str) != (figure["kind"] == "fine_tuning"):
        wanted = "the name of one family" if figure["kind"] == "fine_tuning" else "a list of families"
        raise ConfigError(f"{at}.forget: found {json.dumps(figure['forget'])}, expected {wanted} of forget sets")
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
        raise ConfigError(f"{key}: found the name '{value}', expected one of {_names(value, allowed)}")


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
            raise ConfigError(f"{key}: unknown parameter '{name}', {expected}")
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
        what = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise ConfigError(f"{key}: found {json.dumps(value)}, expected {what} ({annotation})") from None


def _names(value: str, allowed: Iterable[str]) -> str:
    """The allowed names, and the one that was perhaps meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(value, names, n=1)
    return ", ".join(names) + (f"; did you mean '{close[0]}'?" if close else "")


def _explain(error: jsonschema.ValidationError) -> str:
    """A schema's complaint as one sentence: the key, what was found, what is allowed."""
    key = ".".join(map(str, error.absolute_path)) or "the config"
    allowed = error.schema.get("description")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(set(error.instance) - set(known))[0]
        return f"{key}: unknown key '{unknown}', expected one of {_names(unknown, known)}"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        wanted = error.schema["properties"][missing[0]].get("description", "")
        return f"{key}: lacks the key '{missing[0]}'" + (f" ({wanted})" if wanted else "")
    found = json.dumps(error.instance, default=str)
    return f"{key}: found {found}, expected {allowed or error.message}"


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
    path = module_file(module)
    for node in _syntax(path):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return {
                a.arg: Parameter(ast.unparse(a.annotation) if a.annotation else "object", default is None)
                for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            }
    raise ConfigError(f"{path}: lacks the function '{function}'; see the folder's __init__.py")
