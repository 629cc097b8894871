"""What can be deleted from a store: the command `amun store gc`."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amun_steps.plan import folders
from amun_steps.plan.config_file import read
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.plan import Plan
from amun_steps.plan.views import load, load_file
from amun_steps.store.addresses import STORE, canonical
from amun_steps.store.commands import check_there
from amun_steps.store.step import InputError, is_scratch, whole_of

HOUR = 3600.0  # seconds


def gc(*configs: Path, store: Path = STORE, delete: bool = False) -> None:
    """List what no stage of `configs`, with the code as it is now, names, and what killed jobs left in the store and
    beside the views, with its size; with --delete, delete it. Where a run was started with one of them and others, or
    with --config, what these name together stays, too.

        amun store gc config/*.yaml
        amun store gc config/*.yaml --delete
    """
    if not configs:
        raise InputError("gc: name the configs whose results are to stay, such as config/quickstart.yaml")
    check_there(store)
    unwanted = list(_unwanted(store, {slug for plan in _plans(configs, store) for slug in plan.stages}))
    unwanted += [path for path in _abandoned(store) if not {*path.parents} & {*unwanted}]
    sizes = [sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file()) for path in unwanted]
    for path, size in zip(unwanted, sizes, strict=True):
        print(f"{size:>12,} B  {path}")
        if delete and path.is_dir():
            shutil.rmtree(path)
        elif delete:
            path.unlink(missing_ok=True)
    print(
        f"{sum(sizes):>12,} B  in all{', deleted' if delete else '; nothing was deleted: that is what --delete is for'}"
    )


def _plans(configs: Sequence[Path], store: Path) -> Iterator[Plan]:
    """The plans of all `configs`, and of all runs here that were started with one of them among others."""
    wanted, parts = {path.resolve() for path in configs}, set()
    for files, changes in folders.started(store):
        together = {path.resolve() for path in files}
        if wanted.isdisjoint(together):
            continue
        parts |= together if len(files) > 1 else set()
        from snakemake.utils import update_config  # as a run merges them; it takes a second to import

        config: dict[str, Any] = {}
        try:
            for part in (*map(read, files), changes):
                update_config(config, part)
            yield load(config)
        except ConfigError as error:
            raise ConfigError(
                f"{', '.join(map(str, files))} with {canonical(changes)}, which a run was started with: {error}; if"
                f" nothing of it is to stay, delete its line in {folders.STARTED} beside the views that it made"
            ) from None
    for path in configs:
        try:
            yield load_file(path)
        except ConfigError:
            if path.resolve() not in parts:  # otherwise it may be no config by itself
                raise


def _unwanted(folder: Path, slugs: set[str]) -> Iterator[Path]:
    """The outermost folders inside `folder` that are not named by one of `slugs`; a hidden one is work that goes on."""
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if inner.name in slugs:
            yield from _unwanted(inner, slugs)
        else:
            yield inner


def _abandoned(store: Path) -> Iterator[Path]:
    """What killed steps left: files that were being written, and partial work of artifacts that are there. A file that
    was written to in the last hour may be a running step's."""
    views = [inside / kind for inside in folders.all_of_views(store) for kind in ("", *folders.KINDS)]
    files = {*store.rglob(".*"), *(path for folder in views for path in folder.glob(".*"))}
    for path in sorted(files):
        partial = path.is_dir() and (made := whole_of(path)) is not None and made.is_file()
        if (partial or is_scratch(path)) and time.time() - path.stat().st_mtime > HOUR:
            yield path
