"""Where the views of a config lie, what people read, and which config's they are. The store is one for all configs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amun_steps.plan.config_file import read
from amun_steps.plan.messages import ConfigError
from amun_steps.store.addresses import STORE, canonical
from amun_steps.store.step import InputError, write_whole

KINDS = ("runs", "tables", "figures")
"""The folders inside a folder of views."""

RECORD = ".config"
"""The file in a folder of views that says which config's they are."""


STARTED = ".started"
"""The file in a folder of views that says how runs of its config were started: a line of JSON for each way."""


def of_views(config: Mapping[str, Any]) -> str:
    """The folder of a config's views: results/NAME by its key `results`, results itself without it."""
    return (STORE.parent / config.get("results", "")).as_posix()


def all_of_views(store: Path) -> list[Path]:
    """The folders of views beside a store."""
    return [store.parent, *(record.parent for record in store.parent.glob(f"*/{RECORD}"))]


def take(folder: str, configs: Sequence[Path]) -> None:
    """Write down, in the folder's hidden RECORD, that the views in a folder are those of these config files.

    Raises ConfigError, naming both, where they are those of others. A file is known by its path from here, so what it
    says may change, and the folder may be copied to another clone.
    """
    record = Path(folder) / RECORD
    mine = ", ".join(_from_here(path) for path in configs)
    theirs = record.read_text(encoding="utf-8").strip() if record.is_file() else mine
    if mine != theirs:
        raise ConfigError(
            f"{mine}: its tables, figures and runs would take the place of those of {theirs} in {folder}/; give them a"
            f" folder of their own by the key `results: NAME` (also as --config results=NAME), or delete {record} to"
            " overwrite the others"
        )
    record.parent.mkdir(parents=True, exist_ok=True)
    write_whole(record, lambda file: file.write_text(f"{mine}\n", encoding="utf-8"))


def note(folder: str, configs: Sequence[Path], changes: Mapping[str, Any]) -> None:
    """Write down, in the folder's hidden STARTED, that a run was started with these config files and these values of
    --config: what it makes is named by these together, and `amun store gc` has to know it. Nothing where one file says
    it all: the key `jobs` names nothing."""
    changes = {key: value for key, value in changes.items() if key != "jobs"}
    configs = [path for path in configs if {*read(path)} != {"jobs"}]
    if len(configs) == 1 and not changes:
        return
    file = Path(folder) / STARTED
    known = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    line = canonical({"configfiles": [_from_here(path) for path in configs], "config": changes})
    if line not in known:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda to: to.write_text("\n".join([*known, line, ""]), encoding="utf-8"))


def started(store: Path) -> Iterator[tuple[list[Path], Mapping[str, Any]]]:
    """The config files and values of --config of all runs that the folders of views beside a store know of; paths are
    from where `results` lies.

    Raises InputError for a record that cannot be read.
    """
    for file in sorted({*store.parent.glob(STARTED), *store.parent.glob(f"*/{STARTED}")}):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                run = json.loads(line)
                yield [Path(store.parent.parent, path) for path in run["configfiles"]], dict(run["config"])
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{file}, line {number}: found {line!r}, expected JSON; delete the line") from None


def _from_here(path: Path) -> str:
    path, here = path.resolve(), Path.cwd().resolve()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
