"""What another clone needs of a store, in one file: the command `amun store pack`."""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from amun_steps.plan.experiment import Experiment
from amun_steps.plan.given import retrained_sets
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.views import load_file
from amun_steps.store.addresses import PACKAGE, STORE
from amun_steps.store.commands import artifacts
from amun_steps.store.packs import Manifest, PackedFile, PackedStage, write_pack
from amun_steps.store.receipts import RECEIPT, read_receipt, sha256
from amun_steps.store.step import InputError

Purpose = Annotated[Literal["scoring"] | None, Parameter(name="--for")]


def pack(config: Path, *, to: Path, purpose: Purpose = None) -> None:
    """Write what the store has of a config's stages, with the receipts, into one file, for `amun store unpack`.

        amun store pack config/quickstart.yaml --for scoring --to references.tar

    With `--for scoring` that is what another clone needs to tune, run and judge a method of its own without training
    from scratch: the signals of the reference models, inclusion matrix, forget sets, original models, the outputs of
    the retrained ones; and all finished runs and grids, as numbers. Neither the data set nor another model is in it.

    Raises InputError for a config that is wrong, for what is not made yet, for an artifact that has not the bytes that
    its receipt says, and for a file `to` that is there.
    """
    plan = load_file(config)
    if purpose:
        _check_made(config, plan)
    found = _found(plan, purpose)
    files = {path.as_posix(): _packed(path, stage) for stage, paths in found.items() for path in paths}
    if not files:
        raise InputError(
            f"{config}: nothing of it is made yet; run `snakemake --cores all --configfile {config}` first"
        )
    print(f"{to}: packs {len(files)} files, {sum(file.bytes for file in files.values()):,} bytes", flush=True)
    missing = Counter(stage.kind for stage, paths in found.items() if not paths)
    if missing:
        print(f"Not in it, since not made yet: {', '.join(f'{n} {kind}' for kind, n in missing.items())}", flush=True)
    manifest = Manifest(
        format="amun pack 1",
        purpose=purpose or "everything",
        packed=datetime.now(UTC).isoformat(timespec="seconds"),
        config_file=config.as_posix(),
        config=dict(plan.config),
        commit=_commit(),
        made_with=_made_with(files),
        stages=_stages(plan, {stage for stage, paths in found.items() if paths}),
        files=files,
    )
    write_pack(to, manifest)
    print(f"Unpack it in the root of another clone: amun store unpack {to.name}")


def _found(plan: Plan, purpose: Purpose) -> dict[Stage, list[Path]]:
    """What the store has of the stages of which there is something to pack; nothing of those that are not made yet."""
    lying: dict[Path, list[Path]] = defaultdict(list)
    for path in artifacts(STORE):
        lying[path.parent].append(path)
    if purpose is None:
        return {stage: lying[stage.folder] for stage in plan.stages.values()}
    wanted = {stage: _for_scoring(stage) for stage in plan.stages.values()}
    return {s: [path for path in lying[s.folder] if path.name in names] for s, names in wanted.items() if names}


def _check_made(config: Path, plan: Plan) -> None:
    """Raise InputError where an experiment that has its signals lacks something else that judges, or where none has
    them; experiments without are named."""
    files = {experiment: list(_judging(experiment)) for experiment in plan.experiments.values()}
    begun = [experiment for experiment, (signals, *_) in files.items() if signals.is_file()]
    for experiment in files:
        if begun and experiment not in begun:
            print(f"Not for {experiment.name}: its signals are not made yet")
    missing = [path for experiment in begun or files for path in files[experiment] if not path.is_file()]
    if missing:
        raise InputError(
            f"{config}: {missing[0]} and {len(missing) - 1} more are not made yet; run `snakemake --cores all"
            f" --configfile {config}` first"
        )


def _judging(experiment: Experiment) -> Iterator[Path]:
    """The files that every method of an experiment is unlearned from and judged by, the signals first."""
    families = experiment.wanted["forget"]
    for stage in (
        experiment.signals(),
        experiment.inclusion(),
        experiment.originals(),
        *([experiment.confidences()] if experiment.is_judged else []),
        *map(experiment.forget, families),
    ):
        yield from (stage.folder / name for name in _for_scoring(stage))
    for family in families:
        sets = retrained_sets(experiment.config, experiment.wanted, family)
        yield from (experiment.retrained(family).folder / f"set{number}.h5" for number in sets)


def _for_scoring(stage: Stage) -> list[str]:
    """The names of a stage's files that are packed for scoring.

    Not the data set: its images are not ours to hand on, and every clone has a copy to make it of. Not the adversarial
    sets, the largest files of all: the attack searches for them again, and only if a method needs them.
    """
    match stage.kind:
        case "inclusion" | "forget" | "signals" | "confidences":
            return [f"{stage.kind}.h5"]
        case "originals":
            return ["originals.safetensors", "originals.h5"]
        case "retrained":  # also that without the tuning set, the last one, where there is one
            return [f"set{number}.h5" for number in range(stage.builds_on["forget"].parameters["sets"] + 1)]
        case "tuned":
            return ["grid.csv", "best.json"]
        case "scores":
            return ["runs.csv"]
        case "shadows":
            return ["shadows.h5"]
        case "judged":
            return ["judged.csv"]
        case "continuous":
            return ["requests.csv"]
        case "finetuned":
            return ["finetuned.csv"]
    return []


def _packed(path: Path, stage: Stage) -> PackedFile:
    receipt = read_receipt(path)
    if receipt is None:
        raise InputError(f"{path}: has no receipt; delete it, start the workflow again, and it is made again")
    return PackedFile(stage.slug, receipt["sha256"], path.stat().st_size, sha256(path.with_name(path.name + RECEIPT)))


def _stages(plan: Plan, packed: Set[Stage]) -> dict[str, PackedStage]:
    """The packed stages and all that they build on, each after what it builds on."""
    wanted = set(packed)
    for stage in reversed(plan.stages.values()):
        if stage in wanted:
            wanted.update(stage.builds_on.values())
    return {
        stage.slug: PackedStage(
            stage.kind, dict(stage.parameters), list(stage.code), [source.slug for source in stage.builds_on.values()]
        )
        for stage in plan.stages.values()
        if stage in wanted
    }


def _made_with(files: Iterable[str]) -> dict[str, list[str]]:
    """The devices that the files were made on and the versions of Python and the packages, by their receipts."""
    found: dict[str, set[str]] = defaultdict(set)
    for receipt in map(read_receipt, map(Path, files)):
        for name, value in {"device": receipt["device"], **receipt["versions"]}.items():
            found[name].add(value)
    return {name: sorted(values) for name, values in found.items()}


def _commit() -> str | None:
    """The newest commit of the package's code; None where it is not in a repository of its own, or git is not here."""
    command = ["git", "-C", str(PACKAGE), "log", "-1", "--format=%H", "--", "."]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None
