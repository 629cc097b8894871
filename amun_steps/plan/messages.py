"""What is said of a mistake in a config: the key, what was found, what is allowed and what was perhaps meant."""

import difflib
import json
import re
import reprlib
from collections.abc import Iterable
from typing import Any

from amun_steps.store.step import InputError

LONGEST = 200  # characters of a value in a message


class ConfigError(InputError):
    """A config that cannot be run; the message names the key, what was found, what is allowed."""


def known(key: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ConfigError unless `value`, found at `key`, is one of the allowed names."""
    if value not in allowed:
        raise ConfigError(f"{key}: found the name {value!r}, expected one of {names(value, allowed)}")


def shown(value: Any) -> str:
    """A value as JSON, for people: cut where it is long, in some other way where JSON has none."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, TypeError, RecursionError):
        text = reprlib.repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def key_shown(key: Any) -> str:
    """A key as it is written: text in quotes, what YAML reads as something else as JSON."""
    return repr(key) if isinstance(key, str) else shown(key)


def hint(value: Any) -> str:
    """What to write in place of text that looks like a number."""
    number = re.fullmatch(r"([-+]?\d+)(\.\d*)?([eE])([-+]?)(\d+)", value) if isinstance(value, str) else None
    if number is None:
        return ""
    whole, part, e, sign, exponent = number.groups()
    return f"; YAML reads {value} as text: write {whole}{part or '.0'}{e}{sign or '+'}{exponent}"


def names(value: Any, allowed: Iterable[str]) -> str:
    """The allowed names, and the one that was perhaps meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(value), names, n=1)
    return ", ".join(names) + (f"; did you mean '{close[0]}'?" if close else "")
