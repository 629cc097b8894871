"""What a choice by few reference models and one retrained model costs in Avg. Gap: what `amun forget` does by default.

`python benchmarks/choice.py CONFIG EXPERIMENT [SETS ORIGINALS]`, in the root of a clone: ten minutes on two cores for
digits, hours for Fashion-MNIST with all sets and originals. For lists of 2.5% and of 10% of D, AMUN's grid is run on
the tuning set from each original; each number of references, each time with one of the retrained models alone, makes
its choice there. What the choice is worth is the Avg. Gap of its runs on the reported sets, judged by all of the
config's references and all retrained models.
"""

import sys
from pathlib import Path

import numpy as np
import yaml
from pydantic import TypeAdapter

from amun_steps.judging.judge import Judge, load_judge
from amun_steps.judging.metrics import average_gap
from amun_steps.plan.config_file import read
from amun_steps.plan.plan import Plan
from amun_steps.plan.workflow import make
from amun_steps.steps.choose import choices
from amun_steps.steps.forget import load_tests
from amun_steps.steps.tune import CRITERION, choice_at, measure
from amun_steps.steps.unlearn import Run, Unlearner, Unlearning
from amun_steps.store.arrays import hdf5

COUNTS = (2, 4, 8, 16, 32)
SHARES = {"few": 0.025, "more": 0.1}


def main(path: Path, name: str, sets: int = 3, originals: int = 3) -> None:
    """Make what is needed, run the grid, and print a row of Markdown for each list, access and number of references."""
    config = read(path)
    base = config["experiments"][name]
    experiments = {
        f"by{count}": {**base, "references": {**base["references"], "count": count}, "methods": ["amun"]}
        for count in (*COUNTS, base["references"]["count"])
    }
    empty = {key: {} for key in ("requests", "tables", "figures")}
    config = {**config, **empty, "methods": {"amun": config["methods"]["amun"]}}
    config.pop("judges", None)  # of experiments that have other names here
    config["forget"] = {family: {"fraction": share, "sets": 3} for family, share in SHARES.items()}
    config["experiments"] = {key: {**one, "forget": list(SHARES)} for key, one in experiments.items()}
    written = Path("results/choice.yaml")
    written.parent.mkdir(exist_ok=True)
    written.write_text(yaml.safe_dump(config))
    plan = Plan(config)
    stages = list(plan.experiments.values())
    whole = stages[-1]
    targets = [stage.signals().file("signals.h5") for stage in stages]
    targets += [whole.adversarial(base["attack"]).file(f"original{o}.h5") for o in range(whole.originals().count)]
    targets += [whole.retrained(f).file(f"set{s}.h5") for f in SHARES for s in range(4)]
    if not make([written], targets):
        raise SystemExit("a job failed, see above")
    print("| list | access | references | Avg. Gap of the choice, mean (largest) | median choice's | best choice's |")
    print("| --- | --- | --- | --- | --- | --- |")
    for family in SHARES:
        for access in ("with_remain", "without_remain"):
            rows(stages, family, access, sets, originals)


def rows(stages: list, family: str, access: str, sets: int, count: int) -> None:
    """Print what the choices of each number of references are worth for one family and access, by the first `sets`
    reported sets and `count` originals."""
    whole = stages[-1]
    tuned, forget = whole.tuned("amun", access, family), whole.forget(family)
    dataset, originals = whole.dataset().file("dataset.h5"), whole.originals().file("originals.safetensors")
    found = [Path(whole.adversarial(whole.wanted["attack"]).file(f"original{o}.h5")) for o in range(count)]
    unlearning = TypeAdapter(Unlearning).validate_python(tuned.parameters["unlearning"])
    files = Path(dataset), Path(originals), Path(forget.file("forget.h5"))
    unlearner = Unlearner(*files, family, found, unlearning)
    grid = choices(tuned.parameters["grid"], tuned.parameters.get("limit"))
    signal, gamma = tuned.parameters["signal"], tuned.parameters["gamma"]
    judges = [load_judge(files[0], Path(stage.signals().file("signals.h5")), signal, gamma) for stage in stages]
    tests = load_tests(files[2], unlearner.data.train)
    tuning = len(unlearner.forget) - 1

    def measured(judge: Judge, logits: np.ndarray, which: int) -> np.ndarray:
        return measure(judge, logits, unlearner.forget[which], tests[which])

    def retrained(which: int) -> np.ndarray:
        with hdf5(Path(whole.retrained(family).file(f"set{which}.h5"))) as file:
            return file["logits"][:]

    def gaps(judge: Judge, which: int, standards: list[np.ndarray]) -> np.ndarray:
        """(standards, originals, choices) Avg. Gap of the grid on a set, `trials[which]`."""
        of = np.array([measured(judge, one, which) for one in trials[which]])
        flat = of.reshape(-1, len(CRITERION))
        return np.array([average_gap(flat, standard).reshape(of.shape[:2]) for standard in standards])

    trials = {}
    for which in (*range(sets), tuning):
        runs = [Run(o, which, 0, choice_at(point)) for o in range(count) for point in grid]
        logits = [models.predict(unlearner.images).numpy() for models, _ in unlearner.run(runs, 8)]
        trials[which] = np.concatenate(logits).reshape(count, len(grid), len(unlearner.images), -1)
    worth = []
    for which in range(sets):
        standard = measured(judges[-1], retrained(which), which).mean(axis=0)
        worth.append(gaps(judges[-1], which, [standard])[0])
    worth = np.mean(worth, axis=0)  # (originals, choices), over the reported sets
    for stage, judge in zip(stages, judges, strict=True):
        standards = list(measured(judge, retrained(tuning), tuning))
        chosen = np.nanargmin(gaps(judge, tuning, standards), axis=2)
        values = np.take_along_axis(worth, chosen.T, axis=1)
        size, by = int(unlearner.forget[0].sum()), stage.wanted["references"]["count"]
        middle, best = np.nanmedian(worth, axis=1).mean(), np.nanmin(worth, axis=1).mean()
        row = f"| {size} | {access} | {by} | {values.mean():.2f} ({values.max():.2f}) | {middle:.2f} | {best:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
