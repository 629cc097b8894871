"""Where the views of a config lie, what people read, and which config's they are. The store is one for all configs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amun_steps.plan.messages import ConfigError
from amun_steps.store.addresses import STORE
from amun_steps.store.step import write_whole

KINDS = ("runs", "tables", "figures")
"""The folders inside a folder of views."""

RECORD = ".config"
"""The file in a folder of views that says which config's they are."""


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


def _from_here(path: Path) -> str:
    path, here = path.resolve(), Path.cwd().resolve()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
