"""A YAML file as a config: what YAML forbids, but its parsers let pass, is named with its line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from amun_steps.plan.messages import ConfigError

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
