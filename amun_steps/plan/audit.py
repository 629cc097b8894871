"""One model and a list of samples: what the model remembers of them. The command `amun audit`.

It needs no more than the workflow has: the model is an original from a file, the list is a family of forget sets. A
config that says so is derived from one that the user has, and the workflow scores its original; no other model of it is
made but RMIA's references.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from amun_steps.plan.config_file import read
from amun_steps.plan.cost import costs_of, report
from amun_steps.plan.jobs import read_jobs
from amun_steps.plan.messages import ConfigError, known
from amun_steps.plan.networks import try_networks
from amun_steps.plan.plan import Plan
from amun_steps.plan.schema import check_schema
from amun_steps.plan.workflow import make
from amun_steps.store.addresses import PACKAGE, STORE
from amun_steps.store.step import InputError, write_whole

FAMILY = "audited"
"""The family of forget sets whose only set is the list."""


def audit(
    *,
    model: Path,
    forget: Path,
    config: Path,
    experiment: str,
    references: int | None = None,
    to: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Say what a model remembers of the samples in a list, with how sure that is.

        amun audit --model mine/model.pt --forget asked.txt --config config/quickstart.yaml --experiment digits

    The model is a plain state dict, the list a text or CSV file with one training sample a line. The experiment of the
    config says the data set, the network and how reference models are trained; there are as many as it says, or
    --references. Those that are in the store are used, the others are trained: what that costs is said first, and
    --dry-run stops there. The page, audit.html, the same as audit.json, and the config that was run, audit.yaml, are
    put into --to (results/audits/MODEL-LIST).

    Raises InputError for what is wrong with a file, the list, the config or the experiment, before anything runs, and
    when a job fails.
    """
    if not model.is_file():
        raise InputError(f"--model: found no file {model}, expected a state dict, as torch.save or safetensors writes")
    derived = audited(_base(config, experiment), experiment, model, forget, references)
    try:
        plan = Plan(derived)
        try_networks(plan)
    except ConfigError as error:
        raise ConfigError(f"{config}, with the model and the list: {error}") from None
    (scores,) = (s.scores for s in plan.experiments[experiment].scored() if s.method == "original")
    targets = [scores.file("runs.csv"), scores.file("scores.h5")]
    to = to or STORE.parent / "audits" / f"{model.stem}-{forget.stem}"
    written = to / "audit.yaml"
    _write(written, derived, f"derived from {config}", targets)
    jobs = read_jobs(written, targets)
    if any(job.to_do for job in jobs):
        print(report(jobs, costs_of(jobs, plan)), flush=True)
    else:
        print("Nothing is to be computed: all scores are in the store.", flush=True)
    if dry_run:
        return
    if not make([written], targets):
        raise InputError(f"{written}: a job failed, see above; what was made before it is whole: start this again")
    inputs = {role: scores.builds_on[role].file(f"{role}.h5") for role in ("dataset", "forget")}
    inputs |= {"runs": targets[0], "scores": targets[1], "model": model, "listed": forget}
    _show(to, inputs, derived["experiments"][experiment]["references"]["count"])


def _base(path: Path, experiment: str) -> Mapping[str, Any]:
    """The config at `path`. Raises ConfigError for one that is none, or has no such experiment."""
    config = read(path)
    try:
        check_schema(config)
        known("--experiment", experiment, config["experiments"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def audited(
    config: Mapping[str, Any], experiment: str, model: Path, forget: Path, references: int | None
) -> dict[str, Any]:
    """The config of an audit: `experiment` of a config with the model as its only original and the list as its only
    forget set.

    references: their number in place of the config's. What an experiment must have but an audit never makes, retrained
    models and a method, is there by name. Raises ConfigError for another number of references from files than there
    are, and where the config has no recipe of training.
    """
    base = config["experiments"][experiment]
    wanted = {**base, "originals": {"files": [model.as_posix()]}, "forget": [FAMILY], "methods": ["ft"]}
    if references is not None:
        if "files" in base["references"] and references != base["references"].get("count"):
            raise ConfigError(
                f"--references: found {references}, but those of experiments.{experiment} are files, which are"
                f" {base['references'].get('count')}; leave the option out"
            )
        wanted["references"] = {**base["references"], "count": references}
    recipes = [base[role]["training"] for role in ("retrained", "references") if "training" in base[role]]
    if not (recipes or config["training"]):
        raise ConfigError("training: found no recipe, expected one, also where all models are files")
    wanted["retrained"] = {"count": 1, "training": [*recipes, *config["training"]][0]}
    return {
        **config,
        "experiments": {experiment: wanted},
        "datasets": {name: of for name, of in config["datasets"].items() if name == base["dataset"]},
        "forget": {FAMILY: {"indices": forget.as_posix()}},
        "tuning": {**config["tuning"], "originals": [0]},
        "methods": {"ft": {}},
        **{key: {} for key in ("requests", "tables", "figures")},
    }


def _write(path: Path, config: Mapping[str, Any], whence: str, targets: list[str]) -> None:
    """Write the config of an audit, which says how to run it without this command."""
    head = f"# What `amun audit` ran, {whence}. Snakemake alone, perhaps on a cluster, makes its scores by\n"
    head += f"#   snakemake --cores all --configfile {path} -- {' '.join(targets)}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = head + yaml.safe_dump(config, sort_keys=False, width=120)
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8"))


def _show(to: Path, inputs: Mapping[str, Path | str], references: int) -> None:
    """Make the page, by the code that planned it, and print the verdict."""
    findings, page = to / "audit.json", to / "audit.html"
    options = {**inputs, "references": references, "findings": findings, "page": page}
    command = [sys.executable, "-m", "amun_steps.views.audit"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    here = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(command, env=os.environ | here, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1])
    found = json.loads(findings.read_text(encoding="utf-8"))
    print("", found["short"], *found["words"], f"The page: {page}", sep="\n")
