"""Running the workflow that came with this package, from whatever folder: its results are those of that folder."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from amun_steps.store.addresses import PACKAGE
from amun_steps.store.step import InputError


def snakemake() -> list[str]:
    """The command that runs Snakemake on the workflow of this very code, which alone knows its addresses; options are
    to follow."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())]


def make(configs: Sequence[Path | str], targets: Sequence[str], profile: str | None = None) -> bool:
    """Have the workflow of `configs` make `targets`, on all cores here or as a profile says; whether it did."""
    where = ["--profile", profile] if profile else ["--cores", "all"]
    command = [*snakemake(), *where, "--configfile", *map(str, configs), "--quiet", "rules", "reason", "host"]
    return subprocess.run([*command, "--", *targets], check=False).returncode == 0


def snakefile() -> Path:
    """The workflow's Snakefile: beside the package in a clone, inside it where a wheel was installed.

    Raises InputError where it is in neither.
    """
    places = [folder / "workflow" / "Snakefile" for folder in (PACKAGE, PACKAGE.parent)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(f"no workflow: found neither {places[0]} nor {places[1]}; install the package again")
    return found
