"""What the modules that a config names take, read from their syntax, since importing them would import torch."""

import ast
import contextlib
import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from amun_steps.datasets import Sizes
from amun_steps.plan.messages import ConfigError, hint, key_shown, known, names, shown
from amun_steps.store.addresses import PACKAGE, module_file, parse
from amun_steps.store.content import digest
from amun_steps.store.errors import InputError
from amun_steps.store.plugins import PLUGINS, Share, Size

TYPES = {"Sequence": Sequence, "Share": Share, "Size": Size} | {
    name: getattr(pydantic, name) for name in ("PositiveInt", "PositiveFloat", "NonNegativeInt", "NonNegativeFloat")
}
"""What a parameter of a network, method, attack or reader may be annotated with, beside Python's own types."""

KINDS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "boolean": ("true or false", "true or false"),
    "string": ("text", "texts"),
    "object": ("a mapping", "mappings"),
    "null": ("null", "null"),
}
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
"""JSON schema's kinds of values, one and several, and its bounds, as people say them."""


def check_call(
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
    known(where, module, modules(package))
    allowed = signature(f"amun_steps.{package}.{module}", function)
    for name, values in parameters.items():
        if name not in allowed:
            expected = f"expected one of {names(name, allowed)}" if allowed else f"'{module}' takes none"
            raise ConfigError(f"{key}: unknown parameter {key_shown(name)}, {expected}")
        for value in values if lists else [values]:
            _typed(f"{key}{'.grid' * lists}.{name}", value, allowed[name].annotation)
    for name, parameter in allowed.items():
        if parameter.required and name not in parameters:
            raise ConfigError(f"{key}: lacks the parameter '{name}' that '{module}' needs")


def _typed(key: str, value: Any, annotation: str) -> None:
    """Raise ConfigError unless `value`, found at `key`, is what the parameter is annotated with."""
    try:
        wanted = eval(annotation, dict(TYPES))  # of this project's own source
    except NameError:  # a type that only the module itself knows
        return
    adapter = pydantic.TypeAdapter(wanted)
    try:
        adapter.validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        meant = hint(error.errors()[0]["input"])
        with contextlib.suppress(pydantic.ValidationError):
            meant = meant or f"; write {shown(adapter.validate_python([value], strict=True))}"
        expected = _words(adapter.json_schema())
        raise ConfigError(f"{key}: found {shown(value)}, expected {expected}{meant}") from None


def _words(schema: Mapping[str, Any], several: bool = False) -> str:
    """A type, given by its JSON schema, in plain words; several: for more than one value of it."""
    if "description" in schema:
        return schema["description"]
    if "anyOf" in schema:
        return " or ".join(_words(each, several) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{'lists' if several else 'a list'} of {_words(schema.get('items', {}), several=True)}"
    bounds = " and ".join(f"{said} {schema[bound]:g}" for bound, said in BOUNDS.items() if bound in schema)
    return f"{KINDS[schema['type']][several] if 'type' in schema else 'anything'} {bounds}".rstrip()


def said_sizes(source: str, parameters: Mapping[str, Any]) -> Sizes | None:
    """What a reader says of the data set that it will read; None for one that does not say.

    Raises InputError, beginning with the parameter, for parameters that the reader refuses.
    """
    module = f"amun_steps.datasets.{source}"
    if find_function(module, "sizes") is None:  # not even imported, as that may take long
        return None
    return importlib.import_module(module).sizes(**parameters)


def said_content(source: str, parameters: Mapping[str, Any]) -> str | None:
    """SHA-256 of what is in the files of a data set that are somebody's own; None for one whose files are known."""
    module = f"amun_steps.datasets.{source}"
    if find_function(module, "files") is None:
        return None
    return digest(importlib.import_module(module).files(**parameters))


@functools.cache
def _syntax(path: Path) -> list[ast.stmt]:
    try:
        return parse(path).body
    except InputError as error:
        raise ConfigError(str(error)) from None


def modules(package: str) -> list[str]:
    """The names that a config may use for modules of `amun_steps.<package>`, or of its plug-ins."""
    folders = [PACKAGE, *([PLUGINS.folder] if PLUGINS.folder else [])]
    return sorted(p.stem for folder in folders for p in (folder / package).glob("*.py") if p.stem != "__init__")


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


def is_one_shot(method: str) -> bool:
    """Whether a module of `amun_steps.methods` says, by `ONE_SHOT = True`, that it passes over nothing."""
    syntax = _syntax(module_file(f"amun_steps.methods.{method}"))
    return any(ast.unparse(node) == "ONE_SHOT = True" for node in syntax if isinstance(node, ast.Assign))


@dataclass(frozen=True)
class Parameter:
    """What the source says of a parameter: its annotation, as text, and whether it has no default."""

    annotation: str
    required: bool


def signature(module: str, function: str) -> dict[str, Parameter]:
    """The keyword-only parameters of a module's function, by name, from its syntax."""
    node = find_function(module, function)
    if node is None:
        raise ConfigError(f"{module_file(module)}: lacks the function '{function}'; see the folder's __init__.py")
    return {
        a.arg: Parameter(ast.unparse(a.annotation) if a.annotation else "object", default is None)
        for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }


def find_function(module: str, name: str) -> ast.FunctionDef | None:
    """The syntax of a module's function; None where it has none of this name."""
    found = (node for node in _syntax(module_file(module)) if isinstance(node, ast.FunctionDef) and node.name == name)
    return next(found, None)
