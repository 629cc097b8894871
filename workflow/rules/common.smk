# The plan of the config, and the small functions that rules look things up with.
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, str(Path(workflow.basedir).parent))  # a checkout works without being installed
from amun_steps.plan import networks, views
from amun_steps.plan.config_file import read
from amun_steps.plan.messages import ConfigError
from amun_steps.steps import choose
from amun_steps.store import addresses
from amun_steps.views import terminal

try:
    for path in workflow.configfiles:
        read(Path(path))  # once more: Snakemake takes the last of two equal keys
except ConfigError as error:
    raise WorkflowError(str(error)) from None
try:
    PLAN = views.load(config)
except ConfigError as error:
    raise WorkflowError(f"{', '.join(map(str, workflow.configfiles))}: {error}") from None

# Only where a person looks on: a job on a cluster is a Snakemake of its own, and a dry run says everything.
TERMINAL = terminal.watch(logger) if workflow.is_main_process and not workflow.output_settings.dryrun else None

STORE = addresses.STORE.as_posix()
JOBS = config["jobs"]

# `python` in a rule is the Python that runs Snakemake, unless the steps were given an environment of their own.
if not workflow.deployment_settings.deployment_method:
    shell.prefix(f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; ")


wildcard_constraints:
    # a slug: name-address
    **{
        name: r"[A-Za-z0-9_-]+-[0-9a-f]{12}"
        for name in (
            *("dataset", "forget", "inclusion", "originals", "references", "signals", "retrained"),
            *("adversarial", "tuned", "unlearned", "submitted", "scores", "requests", "continuous", "finetuned"),
        )
    },


def stored(path):
    """A file of the store as input: its address says what it is, so its time stamp must not count."""
    return ancient(f"{STORE}/{path}")


def stage(wildcards, slug):
    """The stage that the wildcard `slug` names."""
    if wildcards[slug] not in PLAN.stages:
        raise WorkflowError(
            f"{wildcards[slug]}: the config has no such stage; its address changes with the config and the code, so"
            " start the workflow again if one of them was changed while it ran"
        )
    return PLAN.stages[wildcards[slug]]


def of(slug, role, *names):
    """Input function: files of the stage that the stage named by wildcard `slug` builds on as `role`."""

    def files(wildcards):
        source = stage(wildcards, slug).builds_on.get(role)
        return [ancient(source.file(name)) for name in names] if source else []

    return files


def options(slug, *names):
    """Params function: the parameters of the stage named by wildcard `slug`, or those of `names`, as options."""
    return lambda wildcards: stage(wildcards, slug).options(*names)


def module(slug):
    """Params function: the module of the step that makes the stage named by wildcard `slug`."""
    return lambda wildcards: stage(wildcards, slug).module


def worth(kind):
    """Resources of a job of one kind of stage. Not parameters: they change speed and cost, and run nothing again."""
    wanted = {"runtime": JOBS["minutes"][kind], "mem_mb": JOBS["memory_mb"]}
    if kind in ("dataset", "score"):  # no network is run
        return wanted
    wanted["stack"] = JOBS["stack"]
    if JOBS["gpus"]:
        wanted["gpu"] = JOBS["gpus"]
        if "gpu_model" in JOBS:
            wanted["gpu_model"] = JOBS["gpu_model"]
    return wanted


def reference_jobs():
    """The number of reference models, and the first one of a job, for every job that trains reference models."""
    return [(n, first) for n in sorted(set(PLAN.reference_counts)) for first in range(0, n, JOBS["references_per_job"])]


def reference_models(wildcards):
    """Input function: all reference models."""
    references = stage(wildcards, "references")
    count = references.builds_on["inclusion"].parameters["references"]
    return [ancient(references.file(f"reference{r}.safetensors")) for r in range(count)]


def adversarial_sets(slug):
    """Input function: D_A of each original model, for a method that needs it."""

    def files(wildcards):
        stages = stage(wildcards, slug).builds_on
        count = stages["originals"].count
        return of(slug, "adversarial", *(f"original{o}.h5" for o in range(count)))(wildcards)

    return files


def tuning_parts(wildcards):
    """Input function: the parts that a method's grid is cut into, by the number of trials that a job is worth."""
    tuned = stage(wildcards, "tuned")
    choices, originals = len(choose.choices(tuned.parameters["grid"])), len(tuned.parameters["on"])
    parts = min(choices, -(-choices * originals // JOBS["trials_per_job"]))
    return [ancient(tuned.file(f"part{part}of{parts}.csv")) for part in range(parts)]


def tuning_retrained(wildcards):
    """Input function: the outputs of the models retrained without the tuning set, the last of its family."""
    sets = stage(wildcards, "tuned").builds_on["forget"].parameters["sets"]
    return of("tuned", "retrained", f"set{sets}.h5")(wildcards)


def scored_outputs(wildcards):
    """Input function: the outputs of the models that are scored, without those of the tuning set."""
    stages = stage(wildcards, "scores").builds_on
    sets = stages["forget"].parameters["sets"]
    names = (
        [f"set{s}.h5" for s in range(sets)] if stages["models"].kind == "retrained" else [f"{stages['models'].kind}.h5"]
    )
    return of("scores", "models", *names)(wildcards)


# Newer than every view that was made before; it exists as long as Snakemake runs.
NOW = tempfile.NamedTemporaryFile(prefix="newer-than-a-stale-view-")


def stale(view):
    """Input that is newer than a view of which files are there but which shows something else, or only half of it; none
    where it shows what it should."""
    path = Path(view.path)
    return [NOW.name] if any(path.parent.glob(f"{path.stem}.*")) and not Path(view.marker).is_file() else []


def not_made(dag):
    """What a run was asked for and has not made: files of targets, and views that show something else.

    Snakemake does not look at what is downstream of a job that runs by itself, such as one of --forcerun, where it would
    get there only over files that are there and ancient().
    """
    wanted = {file for job in dag.targetjobs for file in job.output}
    views = (file for job in dag.targetjobs for source in dag.dependencies[job] for file in source.output)
    wanted |= {file for file in views if not file.startswith(f"{STORE}/")}
    return sorted(file for file in wanted if not Path(file).is_file())
