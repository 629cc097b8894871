# The plan of the config, and the small functions that rules look things up with.
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

if (CLONE := Path(workflow.basedir).parent).joinpath("amun_steps").is_dir():
    sys.path.insert(0, str(CLONE))  # a clone works without being installed; an installed package needs nothing
from amun_steps.plan import compared, folders, networks, views
from amun_steps.plan.config_file import read
from amun_steps.plan.judgements import judgements
from amun_steps.plan.messages import ConfigError
from amun_steps.steps import choose
from amun_steps.store import addresses, job, running
from amun_steps.store.step import InputError
from amun_steps.views import terminal

CONFIGS = [Path(path) for path in workflow.configfiles]
try:
    for path in CONFIGS:
        read(path)  # once more: Snakemake takes the last of two equal keys
except ConfigError as error:
    raise WorkflowError(str(error)) from None
try:
    PLAN = views.load(config)
except InputError as error:
    raise WorkflowError(f"{', '.join(map(str, CONFIGS))}: {error}") from None

# Only where a person looks on: a job on a cluster is a Snakemake of its own, and a dry run says everything.
TERMINAL = terminal.watch(logger) if workflow.is_main_process and not workflow.output_settings.dryrun else None

STORE = addresses.STORE.as_posix()
RESULTS = folders.of_views(config)
JOBS = config["jobs"]

# Steps are those of the code that planned them, wherever Snakemake was started. `python` in a rule is the Python that
# runs Snakemake, unless the steps were given an environment of their own. Snakemake formats the prefix, as it does rules.
CODE = shlex.quote(str(addresses.PACKAGE.parent))
PREFIX = f"export PYTHONPATH={CODE}" + "${{PYTHONPATH:+:$PYTHONPATH}}; "
if not workflow.deployment_settings.deployment_method:
    PREFIX += f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
shell.prefix(PREFIX)


wildcard_constraints:
    # a slug: name-address
    **{
        name: r"[A-Za-z0-9_-]+-[0-9a-f]{12}"
        for name in (
            *("dataset", "forget", "inclusion", "originals", "references", "signals", "retrained"),
            *("adversarial", "tuned", "unlearned", "submitted", "scores", "requests", "continuous", "finetuned"),
            *("confidences", "judged", "shadows"),
        )
    },


def asked(path):
    """Whether jobs are forced, or a file beside `path` is asked for by name: then nothing is passed over."""
    settings = workflow.dag_settings
    forced = settings.forceall or settings.forcetargets or settings.forcerun
    return forced or path.parent in {Path(target).parent for target in settings.targets}


def unless_there(*made, **inputs):
    """The inputs, by name, of a rule that makes the files `made`, which others read; none for a job whose files are
    there: what is there is valid, and needs nothing.

    A missing file that some job needs, such as the data set of results from another clone, is made. Snakemake then runs
    all other jobs that take it as well, whether their results are there or not: also ancient() files have to exist.
    """

    def files(wildcards):
        known = dict(wildcards.items())
        paths = [Path(f"{STORE}/{name.format(**known)}") for name in made]
        if all(path.is_file() for path in paths) and not asked(paths[0]):
            return {}
        return {
            name: wanted(wildcards) if callable(wanted) else ancient(f"{STORE}/{wanted.format(**known)}")
            for name, wanted in inputs.items()
        }

    return unpack(files)


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


def of_kind(slug, role):
    """Input function: as `of`, the file that is named like its stage's kind."""

    def files(wildcards):
        source = stage(wildcards, slug).builds_on.get(role)
        return [ancient(source.file(f"{source.kind}.h5"))] if source else []

    return files


def options(slug, *names):
    """Params function: the parameters of the stage named by wildcard `slug`, or those of `names`, as options."""
    return lambda wildcards: stage(wildcards, slug).options(*names)


def module(slug):
    """Params function: the module, in the package, of the step that makes the stage named by wildcard `slug`."""
    return lambda wildcards: stage(wildcards, slug).module.removeprefix("amun_steps.")


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


def reference_listings(slug):
    """Input function: the listings of all reference models that a stage is, or builds on, by the number of models that a
    job is worth."""

    def files(wildcards):
        references = stage(wildcards, slug)
        references = references.builds_on.get("references", references)
        count, size = references.builds_on["inclusion"].parameters["references"], JOBS["references_per_job"]
        parts = [(first, min(first + size, count) - 1) for first in range(0, count, size)]
        return [ancient(references.file(f"models{first}to{last}.sha256")) for first, last in parts]

    return files


def adversarial_sets(slug):
    """Input function: D_A of each original model, for a method that needs it."""

    def files(wildcards):
        stages = stage(wildcards, slug).builds_on
        count = stages["originals"].count
        return of(slug, "adversarial", *(f"original{o}.h5" for o in range(count)))(wildcards)

    return files


def attacked_sets(wildcards):
    """Input function: the forget sets that Algorithm 1 is run for; none where it is for all of D."""
    on = stage(wildcards, "adversarial").builds_on.values()
    return [ancient(source.file("forget.h5")) for source in on if source.kind == "forget"]


def tuning_parts(wildcards):
    """Input function: the parts that a method's grid is cut into, by the number of trials that a job is worth; one where
    choices race, and none of a grid of one choice."""
    tuned = stage(wildcards, "tuned")
    choices = len(choose.choices(tuned.parameters["grid"], tuned.parameters.get("limit")))
    originals = len(tuned.parameters["on"])
    if choices == 1:
        return []
    parts = 1 if "racing" in tuned.parameters else min(choices, -(-choices * originals // JOBS["trials_per_job"]))
    return [ancient(tuned.file(f"part{part}of{parts}.csv")) for part in range(parts)]


def tuning_retrained(wildcards):
    """Input function: the outputs of the models retrained without the tuning set, the last of its family."""
    sets = stage(wildcards, "tuned").builds_on["forget"].parameters["sets"]
    return of("tuned", "retrained", f"set{sets}.h5")(wildcards)


def reported(slug, role):
    """Input function: the outputs of models for the reported forget sets: retrained ones have a file for each."""

    def files(wildcards):
        stages = stage(wildcards, slug).builds_on
        sets, kind = stages["forget"].parameters["sets"], stages[role].kind
        names = [f"set{s}.h5" for s in range(sets)] if kind == "retrained" else [f"{kind}.h5"]
        return of(slug, role, *names)(wildcards)

    return files


# Newer than every view that was made before; it exists as long as Snakemake runs.
NOW = tempfile.NamedTemporaryFile(prefix="newer-than-a-stale-view-")


def stale(view):
    """Input that is newer than a view of which files are there but which shows something else, or only half of it; none
    where it shows what it should."""
    path = Path(view.path)
    return [NOW.name] if any(path.parent.glob(f"{path.stem}.*")) and not Path(view.marker).is_file() else []


def reserve(dag):
    """Before anything runs: hold the files of the store that a run makes, and the folder of its views if it makes any,
    against other workflows. Raises InputError, naming the other."""
    files = {file for job in dag.needrun_jobs() for file in job.output}
    artifacts = {file for file in files if file.startswith(f"{STORE}/")}
    running.reserve(artifacts)
    if files - artifacts:
        folders.take(RESULTS, CONFIGS)
    if files:
        folders.note(RESULTS, CONFIGS, dict(workflow.config_settings.config))


def preload(dag):
    """On one machine, where more than a few steps are to be run: import what takes them seconds once for all."""
    rules = [
        planned.rule.name for planned in dag.needrun_jobs() if any(f.startswith(f"{STORE}/") for f in planned.output)
    ]
    if workflow.local_exec and not workflow.deployment_settings.deployment_method and len(rules) > 3:
        job.preload(["sklearn.svm"] if rules.count("score") > 1 else [])


def calm(scheduler, limit):
    """Without a limit of its own on jobs in a time, Snakemake has one of 100 in a second, and each look at it asks for one
    more look a second later, for ever: after some hundred jobs it is busy with that alone."""
    if (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None


def not_made(dag):
    """What a run was asked for and has not made: files of targets, and views that show something else.

    Snakemake does not look at what is downstream of a job that runs by itself, such as one of --forcerun, where it would
    get there only over files that are there and ancient().
    """
    wanted = {file for job in dag.targetjobs for file in job.output}
    views = (file for job in dag.targetjobs for source in dag.dependencies[job] for file in source.output)
    wanted |= {file for file in views if not file.startswith(f"{STORE}/")}
    return sorted(file for file in wanted if not Path(file).is_file())
