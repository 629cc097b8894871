"""The form of a config: its keys, what each may be, and that numbers are numbers."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from amun_steps.plan.config_file import LOADER
from amun_steps.plan.messages import ConfigError, hint, key_shown, names, shown
from amun_steps.store.addresses import leaves

SCHEMA = Path(__file__).parent / "config.schema.yaml"
LEVELS = 20


def check_schema(config: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the key, for the first thing in a config that is not as its schema says."""
    for section, content in config.items() if isinstance(config, Mapping) else ():
        if _deeper(content, LEVELS):  # what comes would end at Python's limit of recursion
            raise ConfigError(f"{section}: found more than {LEVELS} levels of lists and mappings in each other")
    error = jsonschema.exceptions.best_match(_validator().iter_errors(config))
    if error is not None:
        raise ConfigError(_explain(error))
    for key, value in leaves(config):
        _check_number(key, value)


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
    found = value if isinstance(value, float) else shown(value)
    raise ConfigError(f"{key}: found {found}, expected a finite number")


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), LOADER)
    # JSON's 3.0 is an integer, Python's is not
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)


def _explain(error: jsonschema.ValidationError) -> str:
    """A schema's complaint as one sentence: the key, what was found, what is allowed."""
    key = ".".join(map(str, error.absolute_path)) or "the config"
    allowed = error.schema.get("description")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(name for name in error.instance if name not in known)
        return f"{key}: unknown key {key_shown(unknown)}, expected one of {names(unknown, known)}"
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        wanted = error.schema["properties"][missing[0]].get("description", "")
        return f"{key}: lacks the key '{missing[0]}'" + (f" ({wanted})" if wanted else "")
    return f"{key}: found {shown(error.instance)}, expected {allowed or error.message}{hint(error.instance)}"
