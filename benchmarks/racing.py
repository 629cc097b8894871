"""What `tuning.racing` saves and what it costs in Avg. Gap, replayed on whole grids in every order of their originals.

`python benchmarks/racing.py CONFIG EXPERIMENT [SHARES...]`, in the root of a clone: an hour on two cores for digits,
most of it for the grids, which are those of the config without racing. A replay runs nothing. Where a choice is not the
full grid's, both unlearn the reported sets, for their Avg. Gap there. For the first family with D_R the tuning of each
method is run twice, without racing and with the last share, for its CPU time.
"""

import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import TypeAdapter

from amun_steps.judging.judge import load_judge
from amun_steps.judging.metrics import average_gap
from amun_steps.plan.config import ACCESS
from amun_steps.plan.config_file import read
from amun_steps.plan.experiment import Experiment
from amun_steps.plan.plan import Plan
from amun_steps.plan.stage import Stage
from amun_steps.plan.tuning import is_tuned
from amun_steps.plan.workflow import make
from amun_steps.steps.choose import choices, going_on
from amun_steps.steps.forget import load_tests
from amun_steps.steps.tune import choice_at, measure, tune
from amun_steps.steps.unlearn import Run, Unlearner, Unlearning
from amun_steps.store.arrays import hdf5


def main(path: Path, name: str, shares: list[float]) -> None:
    """Make the grids, and print a row of Markdown for each share, one for each choice that is not the full grid's, and
    the CPU times. A share that leaves one choice after the first original is a choice by that original alone."""
    config = read(path)
    config["tuning"].pop("racing", None)
    written = Path("results/racing.yaml")
    written.parent.mkdir(exist_ok=True)
    written.write_text(yaml.safe_dump(config))
    stages = Plan(config).experiments[name]
    settings = list(tuned(stages))
    wanted = [stage.file("best.json") for _, _, stage in settings]
    for family in stages.wanted["forget"]:  # the reported sets', too: tuning asks for its own set's alone
        wanted += [stages.retrained(family).file(f"set{k}.h5") for k in range(stages.families[family].sets)]
    if not make([written], wanted):
        raise SystemExit("a job failed, see above")
    grids = {stage.slug: read_gaps(stage) for _, _, stage in settings}
    size = sum(gaps.size for gaps in grids.values())
    print(f"{len(grids)} grids of {sum(map(len, grids.values()))} choices, {size} trials\n")
    print("| share | trials | another choice | its mean gap on the tuning set is higher by, mean (largest) |")
    print("| --- | --- | --- | --- |")
    others: dict[tuple[str, int], Counter[float]] = {}
    for share in shares:
        trials, worse, count = 0.0, [], 0
        for slug, gaps in grids.items():
            best = least(gaps, range(len(gaps)))
            orders = list(itertools.permutations(range(gaps.shape[1])))
            for order in orders:
                tried, choice = race(gaps[:, order], share)
                trials, count = trials + tried / len(orders), count + 1
                if choice != best:
                    worse.append(gaps[choice].mean() - gaps[best].mean())
                    others.setdefault((slug, choice), Counter())[share] += 1 / len(orders)
        said = f"{np.mean(worse):.2f} ({np.max(worse):.2f})" if worse else "-"
        print(f"| {share:g} | {trials / size:.0%} | {len(worse)} of {count} ({len(worse) / count:.1%}) | {said} |")
    print("\n| setting | share of the orders | gap on the tuning set, full | raced | reported gap, full | raced |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method, family, stage in settings:
        gaps = grids[stage.slug]
        best = least(gaps, range(len(gaps)))
        raced = {choice: of for (slug, choice), of in others.items() if slug == stage.slug}
        full = reported(stages, stage, family, best) if raced else None
        for choice, of in raced.items():
            how_often = ", ".join(f"{share:g}: {often:.0%}" for share, often in of.items())
            row = f"{method}, {family} | {how_often} | {gaps[best].mean():.2f} | {gaps[choice].mean():.2f}"
            print(f"| {row} | {spread(full)} | {spread(reported(stages, stage, family, choice))} |", flush=True)
    print(f"\n| setting | CPU-seconds, full | racing: {shares[-1]:g} | |\n| --- | --- | --- | --- |")
    both = []
    for method, family, stage in settings:
        if stage.parameters["unlearning"]["remain"] and family == stages.wanted["forget"][0]:
            both.append([cpu_seconds(stages, stage, family, racing) for racing in (None, shares[-1])])
            print(f"| {method}, {family} | {both[-1][0]:.1f} | {both[-1][1]:.1f} | {both[-1][1] / both[-1][0]:.0%} |")
    full, raced = np.sum(both, axis=0)
    print(f"| all | {full:.0f} | {raced:.0f} | {raced / full:.0%} |")


def tuned(stages: Experiment) -> Iterator[tuple[str, str, Stage]]:
    """Method with its access, family and stage of all that is tuned."""
    for family, access in itertools.product(stages.wanted["forget"], ACCESS):
        for method in stages.tunable(access):
            if is_tuned(stages.config, method):
                yield f"{method} {access.replace('_', ' ')}", family, stages.tuned(method, access, family)


def read_gaps(stage: Stage) -> np.ndarray:
    """(choices, originals) Avg. Gap of a whole grid."""
    gaps = pd.read_csv(stage.file("grid.csv")).average_gap.to_numpy()
    return gaps.reshape(-1, len(stage.parameters["on"]))


def least(gaps: np.ndarray, among) -> int:
    """Which of some choices has the least mean gap, as `choose` takes it."""
    among = np.array(among)
    means = gaps[among].mean(axis=1)
    return int(among[0 if np.isnan(means).all() else np.nanargmin(means)])


def race(gaps: np.ndarray, share: float) -> tuple[int, int]:
    """How many trials racing comes to on a grid, in the order of its columns, and its choice."""
    left = [going_on(gaps[:, :tried], share) for tried in range(gaps.shape[1])]
    return sum(map(len, left)), least(gaps, left[-1])


def inputs(stage: Stage, family: str) -> dict[str, Any]:
    """What the runs of a stage of tuning take, by the names of `Unlearner`'s parameters."""
    on = stage.builds_on
    names = [f"original{o}.h5" for o in range(on["originals"].count)]
    return {
        "dataset": Path(on["dataset"].file("dataset.h5")),
        "originals": Path(on["originals"].file("originals.safetensors")),
        "forget": Path(on["forget"].file("forget.h5")),
        "forget_name": family,
        "adversarial": [Path(on["adversarial"].file(name)) for name in names if "adversarial" in on],
        "unlearning": TypeAdapter(Unlearning).validate_python(stage.parameters["unlearning"]),
    }


def reported(stages: Experiment, stage: Stage, family: str, number: int) -> np.ndarray:
    """Avg. Gap of each run of a choice on the reported sets, with FT AUC."""
    wanted, on, given = stage.parameters, stage.builds_on, inputs(stage, family)
    unlearner = Unlearner(**given)
    judging = wanted["signal"], wanted["gamma"], wanted.get("judges", "all")
    judge = load_judge(given["dataset"], Path(on["signals"].file("signals.h5")), *judging)
    sets = list(zip(unlearner.forget, load_tests(given["forget"], judge.train), strict=True))
    choice = choice_at(choices(wanted["grid"], wanted.get("limit"))[number])
    gaps = []
    for which, judged in enumerate(sets[:-1]):
        with hdf5(Path(on["retrained"].file(f"set{which}.h5"))) as file:
            standard = measure(judge, file["logits"], *judged).mean(axis=0)
        plan = [Run(o, which, run, choice) for o in range(on["originals"].count) for run in range(stages.runs)]
        for models, _ in unlearner.run(plan, stages.config["jobs"]["stack"]):
            logits = models.predict(unlearner.images).numpy()
            gaps.append(average_gap(measure(judge, logits, *judged), standard))
    return np.concatenate(gaps)


def spread(gaps: np.ndarray) -> str:
    """Mean ± standard deviation over runs."""
    return f"{gaps.mean():.2f} ± {gaps.std(ddof=1):.2f}"


def cpu_seconds(stages: Experiment, stage: Stage, family: str, racing: float | None) -> float:
    """What trying a method's whole grid takes of the CPU, without start-up."""
    names = ("signal", "gamma", "judges", "grid", "on", "limit")
    wanted = {name: value for name, value in stage.parameters.items() if name in names}
    files = {"retrained": f"set{stages.families[family].sets}.h5", "signals": "signals.h5"}
    files = {role: Path(stage.builds_on[role].file(file)) for role, file in files.items()}
    cut = {"part": 0, "parts": 1, "stack": stages.config["jobs"]["stack"]}
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        tune(**inputs(stage, family), **files, **wanted, **cut, racing=racing, output=Path(folder) / "part.csv")
        return time.process_time() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [float(share) for share in sys.argv[3:]] or [0.25, 1 / 3, 0.5])
