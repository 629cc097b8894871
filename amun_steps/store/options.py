"""Command lines from functions: options that take JSON, and what the help says."""

import functools
import inspect
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import cyclopts
from pydantic import TypeAdapter

from amun_steps.store.addresses import plain


def help_text(docstring: str) -> str:
    """A docstring as the help of a command line: paragraphs lose the source's line breaks, indented examples keep
    theirs, and what is raised is for callers alone."""
    paragraphs = [part for part in inspect.cleandoc(docstring).split("\n\n") if not part.startswith("Raises ")]
    return "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in paragraphs)


def with_json(function: Callable, leave_out: Any) -> Callable:
    """`function` with annotations that let the command line parse its dataclasses and dicts from JSON, and that say in
    the help what is in it; without the parameters that are annotated with `leave_out`."""

    @functools.wraps(function)
    def command(*args, **kwargs):
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    parameters = [
        p.replace(annotation=Annotated[hints[n], _from_json(hints[n])] if _is_json(hints[n]) else hints[n])
        for n, p in signature.parameters.items()
        if hints[n] != leave_out
    ]
    command.__signature__ = signature.replace(parameters=parameters)
    command.__doc__ = help_text(function.__doc__ or "")
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _is_json(hint: Any) -> bool:
    inner = get_args(hint)
    nested = any(get_origin(h) is list for h in inner)
    return nested or any(is_dataclass(h) or get_origin(h) is dict for h in (hint, *inner))


def _from_json(hint: Any) -> cyclopts.Parameter:
    """How the command line reads a value of the type `hint`: of a list each item by itself, as the system limits the
    length of one argument (128 KiB on Linux)."""
    several = get_origin(hint) is list
    adapter = TypeAdapter(get_args(hint)[0] if several else hint)

    def read(_: Any, tokens: Sequence[cyclopts.Token]) -> Any:
        values = [adapter.validate_json(token.value) for token in tokens]
        return values if several else values[0]

    return cyclopts.Parameter(
        converter=read,
        n_tokens=-1 if several else 1,
        accepts_keys=False,
        json_list=False,
        help=f"JSON{' of each' if several else ''}: {shape(get_args(hint)[0] if several else hint)}",
    )


def shape(hint: Any) -> str:
    """What JSON for a value of the type `hint` contains: a dataclass's fields with their types and defaults, a line
    each, and so on into those that are dataclasses themselves."""
    inner = get_args(hint)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        lines = [f'"{f.name}": {shape(hints[f.name])}{_default(f)}' for f in fields(hint)]
        return "{\n" + textwrap.indent(",\n".join(lines), "  ") + "\n}"
    origin = get_origin(hint)
    if origin is Literal:
        return " or ".join(map(json.dumps, inner))
    if origin in (UnionType, Union):
        return " or ".join(map(shape, inner))
    if origin is dict:
        return f"{{name: {shape(inner[1])}, ...}}"
    if origin is list:
        return f"[{shape(inner[0])}, ...]"
    if origin is tuple:
        return f"[{', '.join(map(shape, inner))}]"
    return {NoneType: "null", Any: "anything", Path: "path", ...: "..."}.get(hint) or hint.__name__


def _default(field: Field) -> str:
    """What a field of a dataclass is when it is left out; empty for one that must be there."""
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return "" if default is MISSING else f" (default: {json.dumps(default, default=plain)})"
