"""Running the workflow that came with this package, from whatever folder: its results are those of that folder."""

import sys
from pathlib import Path

from amun_steps.store.addresses import PACKAGE
from amun_steps.store.step import InputError


def snakemake() -> list[str]:
    """The command that runs Snakemake on the workflow of this very code, which alone knows its addresses; options are
    to follow."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())]


def snakefile() -> Path:
    """The workflow's Snakefile: beside the package in a clone, inside it where a wheel was installed.

    Raises InputError where it is in neither.
    """
    places = [folder / "workflow" / "Snakefile" for folder in (PACKAGE, PACKAGE.parent)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(f"no workflow: found neither {places[0]} nor {places[1]}; install the package again")
    return found
