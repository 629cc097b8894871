"""Addresses: what a stage computes, as 12 hex digits.

An *address* is the first 12 hex digits of the SHA-256 of what a stage is: its kind, its resolved parameters, the
syntax of the code that computes it and the addresses of what it builds on. It is part of the path, so a file that is
there is valid, on any machine, whatever its time stamps say.
"""

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from amun_steps.store.errors import InputError
from amun_steps.store.plugins import PLUGINS

PACKAGE = Path(__file__).parent.parent
STORE = Path("results/store")
# These decide where results lie, how they are recorded and what is said meanwhile, never what they are, so no address
# covers them.
_KEEPING = ("addresses", "commands", "content", "errors", "options", "plugins", "progress", "receipts", "step")
NOT_IN_ADDRESSES = frozenset(f"amun_steps.store.{name}" for name in _KEEPING)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def canonical(value: Any) -> str:
    """`value` as canonical JSON: sorted keys, no white space. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)


def plain(value: Any) -> Any:
    """A dataclass as a dict and a path as text, for JSON. Raises TypeError for anything else."""
    if is_dataclass(value):
        return asdict(value)
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no place in an address or a receipt: {value!r}")


def address(kind: str, parameters: Mapping[str, Any], code: Iterable[str], builds_on: Iterable[str]) -> str:
    """12 hex digits that say what a stage computes.

    `parameters` are resolved and JSON-like; `code` names the modules of this package that compute it (what they import
    is found by itself); `builds_on` are the addresses of the stages whose artifacts it reads.
    """
    what = {
        "kind": kind,
        "parameters": parameters,
        "code": fingerprint(code),
        "builds_on": sorted(builds_on),
    }
    return hashlib.sha256(canonical(what).encode()).hexdigest()[:12]


def fingerprint(modules: Iterable[str]) -> str:
    """SHA-256 (hex) of the syntax of `modules` and of all modules of this package that they import, transitively.

    Comments, docstrings and formatting do not count. Raises ModuleNotFoundError for a module that is not there.
    """
    parts = {name: _syntax_of(name)[0] for name in closure(modules)}
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def closure(modules: Iterable[str]) -> set[str]:
    """The modules of this package that `modules` consist of and import, transitively, less NOT_IN_ADDRESSES."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found and name not in NOT_IN_ADDRESSES:
            found.add(name)
            todo.extend(_syntax_of(name)[1])
    return found


def module_file(name: str) -> Path | None:
    """The source file of a module of this package or of its plug-ins, given by its dotted name; None where there is
    none."""
    if name.split(".")[0] != PACKAGE.name:
        return None
    base = PACKAGE.parent.joinpath(*name.split("."))
    ours = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    return ours or PLUGINS.file(name)


def parse(path: Path) -> ast.Module:
    """The syntax of a source file. Raises InputError for a mistake in it, with its line."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.msg}") from None


class _Plain(ast.NodeTransformer):
    """Puts a tuple of its parts in the place of an f-string, as versions of Python differ in how they write one."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        parts = [part for part in node.values if not (isinstance(part, ast.Constant) and not part.value)]
        return ast.Tuple([ast.Constant("f-string"), *map(self.visit, parts)], ast.Load())

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        form = self.visit(node.format_spec) if node.format_spec else ast.Constant(None)
        return ast.Tuple([self.visit(node.value), ast.Constant(node.conversion), form], ast.Load())


def _syntax_of(name: str) -> tuple[str, tuple[str, ...]]:
    return _syntax(name, PACKAGE, PLUGINS.folder)


@functools.cache
def _syntax(name: str, package: Path, plugins: Path | None) -> tuple[str, tuple[str, ...]]:
    """The SHA-256 of a module's syntax, and the modules of this package and of its plug-ins that it imports: looked for
    and read once in a process, since a plan asks for them thousands of times."""
    path = module_file(name)
    if path is None:
        raise ModuleNotFoundError(f"no module {name} in {plugins or package}", name=name)
    tree = parse(path)
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                base = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = base[: len(base) - node.level + 1]
                origin = ".".join([*base, origin] if origin else base)
            imports.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
        elif isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    # unparse, not dump: its text does not change with the Python version's syntax classes
    digest = hashlib.sha256(ast.unparse(_Plain().visit(tree)).encode()).hexdigest()
    return digest, tuple(sorted(m for m in imports if module_file(m) is not None))


def address_in(path: Path) -> str | None:
    """The address in `path`: that of the innermost folder whose name is a slug (`name-address`)."""
    for part in reversed(Path(path).parts[:-1]):
        name, _, digits = part.rpartition("-")
        if name and len(digits) == 12 and set(digits) <= set("0123456789abcdef"):
            return digits
    return None


def without_addresses(path: str) -> str:
    """`path` with the names of its folders alone: the same for all versions of the code."""
    return re.sub(r"-[0-9a-f]{12}(?=/)", "", path)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All values in nested mappings and lists, with their dotted keys."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield key, value
    else:
        for name, part in items:
            yield from leaves(part, f"{key}.{name}".lstrip("."))
