"""One model and a list of samples: what the commands `amun audit` and `amun forget` share.

The workflow has all that they need: the model is an original from a file, the list is a family of forget sets. A config
that says so is derived from one that the user has; the workflow makes of it what is asked for and no more.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from amun_steps.plan.config_file import read
from amun_steps.plan.jobs import read_jobs
from amun_steps.plan.messages import ConfigError, known
from amun_steps.plan.networks import try_networks
from amun_steps.plan.plan import Plan
from amun_steps.plan.schema import check_schema
from amun_steps.plan.workflow import make
from amun_steps.store.addresses import PACKAGE
from amun_steps.store.plugins import PLUGINS
from amun_steps.store.progress import LOG
from amun_steps.store.step import InputError, write_whole

HEAD = "# What `amun "
"""How the configs that these commands write begin."""

FAMILY = "listed"
"""The family of forget sets whose only set is the list."""


@dataclass(frozen=True)
class Asked:
    """What a person asks for: a model and a list of samples, and the experiment of a config of theirs that says the
    data set, the network and how models are trained. Raises InputError for what is not there."""

    model: Path
    forget: Path
    config: Path
    experiment: str

    def __post_init__(self):
        if not self.model.is_file():
            raise InputError(
                f"--model: found no file {self.model}, expected a state dict, as torch.save or safetensors writes"
            )

    @cached_property
    def base(self) -> Mapping[str, Any]:
        """Their config. Raises ConfigError for one that is none, or has no such experiment."""
        LOG.info("reading %s", self.config)
        config = read(self.config)
        try:
            check_schema(config)
            known("--experiment", self.experiment, config["experiments"])
        except ConfigError as error:
            raise ConfigError(f"{self.config}: {error}") from None
        return config

    def derived(self, references: int | None, methods: Mapping[str, Any]) -> dict[str, Any]:
        """Their config with this experiment alone, the model as its only original and the list as its only forget set.

        references: their number in place of the config's. methods: the experiment's. Raises ConfigError for another
        number of references from files than there are, and where the config has no recipe of training.
        """
        config = self.base
        base = config["experiments"][self.experiment]
        wanted = {**base, "originals": {"files": [self.model.as_posix()]}, "forget": [FAMILY], "methods": [*methods]}
        if references is not None:
            if "files" in base["references"] and references != base["references"].get("count"):
                raise ConfigError(
                    f"--references: found {references}, but those of experiments.{self.experiment} are files, which"
                    f" are {base['references'].get('count')}; leave the option out"
                )
            wanted["references"] = {**base["references"], "count": references}
        recipes = [base[role]["training"] for role in ("retrained", "references") if "training" in base[role]]
        if not (recipes or config["training"]):
            raise ConfigError("training: found no recipe, expected one, also where all models are files")
        wanted["retrained"] = {"count": 1, "training": [*recipes, *config["training"]][0]}
        return {
            **{key: value for key, value in config.items() if key not in ("replicates", "judges")},
            "experiments": {self.experiment: wanted},
            "datasets": {name: of for name, of in config["datasets"].items() if name == base["dataset"]},
            "forget": {FAMILY: {"indices": self.forget.as_posix()}},
            "tuning": {key: value for key, value in config["tuning"].items() if key != "racing"} | {"originals": [0]},
            "methods": dict(methods),
            **{key: {} for key in ("requests", "tables", "figures")},
        }

    def plan(self, derived: Mapping[str, Any]) -> Plan:
        """The plan of a derived config. Raises ConfigError for what is wrong with it, naming theirs."""
        LOG.info("checking %s and %s against it", self.model, self.forget)
        try:
            plan = Plan(derived)
            try_networks(plan)
        except ConfigError as error:
            raise ConfigError(f"{self.config}, with the model and the list: {error}") from None
        return plan

    def run(
        self, command: str, plan: Plan, written: Path, targets: Sequence[str], results: Sequence[Path], *, dry_run: bool
    ) -> bool:
        """Have the workflow make `targets`, files of the store, and say before what that costs; whether they are there.

        written: where the config is kept, which says how to run it without this command; results: what the command
        will write beside it. Raises InputError where results of another run are there, and where a job fails.
        """
        from amun_steps.plan.cost import costs_of, report  # and torch with it, which takes seconds

        head = f"{HEAD}{command}` ran, derived from {self.config}. Snakemake alone, perhaps on a cluster, makes"
        head += f" it by\n#   snakemake --cores all --configfile {written} -- {' '.join(targets)}\n"
        text = head + yaml.safe_dump(dict(plan.config), sort_keys=False, width=120)
        _check_free(written, text, results)
        write_whole(written, lambda file: file.write_text(text, encoding="utf-8"))
        jobs = read_jobs(written, list(targets))
        if any(job.to_do for job in jobs):
            print(report(jobs, costs_of(jobs, plan)), flush=True)
        else:
            print("Nothing is to be computed: all of it is in the store.", flush=True)
        if dry_run:
            return False
        if not make([written], targets):
            raise InputError(f"{written}: a job failed, see above; what was made before it is whole: start this again")
        return True


def _check_free(written: Path, text: str, results: Sequence[Path]) -> None:
    """Raise InputError for a folder that cannot be one, or that has results of another model, list, config or code
    than the config `text` says, and the addresses in it."""
    folder = written.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--to: {folder} cannot be made a folder ({error.strerror}); give another") from None
    before = written.read_text(encoding="utf-8") if written.is_file() else ""
    if before and not before.startswith(HEAD):
        raise InputError(f"{written}: found a file that is not amun's, which would be overwritten; give another --to")
    there = [path.name for path in results if path.exists()]
    if there and _targets(before) != _targets(text):
        raise InputError(
            f"{folder}: has the {', '.join(there)} of another run (of another model, list, config or version of the"
            " code), which would be overwritten; give a folder by --to, or delete this one"
        )


def _targets(text: str) -> str:
    """The files of the store that a config of ours is for: their addresses know the model's bytes, the list's, the
    config's and the code's, wherever these lie."""
    return text.partition(" -- ")[2].partition("\n")[0]


def call(module: str, **options: Any) -> None:
    """Run a step by the code that planned it, in a process of its own. Raises InputError with what it says."""
    command = [sys.executable, "-m", module, *(["--plugins", str(PLUGINS.folder)] if PLUGINS.folder else [])]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", json.dumps(value) if isinstance(value, Mapping) else str(value)]
    here = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(command, env=os.environ | here, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1])
