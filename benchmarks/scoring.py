"""What judging costs: RMIA by sorting against all pairs, and many runs against one at a time."""

import tempfile
from pathlib import Path

import numpy as np
from peers import all_pairs
from peers import rmia as loop
from ratios import Ratio, alternated

from amun_steps.judging import rmia
from amun_steps.judging.judge import Judge
from amun_steps.store.arrays import Parts, hdf5, write_arrays

GAMMA = 2.0


def attack(samples: int = 60_000, references: int = 128, few: int = 20, repeats: int = 5) -> list[Ratio]:
    """RMIA of one target by random signals. The loop scores a `few` samples, and its time is scaled up to all."""
    draws = np.random.default_rng(0)
    target, signals = draws.uniform(0.1, 0.9, samples), draws.uniform(0.1, 0.9, (references, samples))
    prior = rmia.prior(signals)
    found = {}

    def ours():
        found["ours"] = rmia.scores(target, rmia.prior(signals), GAMMA)

    def pairs():
        found["pairs"] = all_pairs(target, prior, GAMMA)

    def of_loop():
        found["loop"] = loop(target, signals, GAMMA, range(few))

    taken = alternated(
        {"ours": ours, "loop": of_loop, "given": lambda: rmia.scores(target, prior, GAMMA), "pairs": pairs}, repeats
    )
    assert np.array_equal(found["ours"], found["pairs"])
    assert np.allclose(found["ours"][:few], found["loop"], atol=2 / samples)  # a division rounds, ours does not divide
    scaled = f"the paper's own code's loop over samples ({few}, scaled to {samples:,})"
    return [
        Ratio.of_times(scaled, taken["ours"], taken["loop"] * samples / few, 1000),
        Ratio.of_times("all pairs in NumPy, the prior given", taken["given"], taken["pairs"], 500),
    ]


def judged(folder: Path, runs: int) -> list[dict[str, float]]:
    """Accuracies and RMIA of the first `runs` runs in a folder of random logits; the references' are read once."""
    with hdf5(folder / "references.h5") as file:
        labels, forget, test = (file[name][:] for name in ("labels", "forget", "test"))
        signals = np.array([rmia.signal(logits, labels) for logits in file["logits"]])
    judge = Judge(rmia.prior(signals), labels, ~test, {}, GAMMA)
    with hdf5(folder / "runs.h5") as file:
        return [judge.metrics(logits, judge.membership(logits), forget) for logits in file["logits"][:runs]]


def runs(
    count: int = 27, samples: int = 60_000, references: int = 128, classes: int = 10, repeats: int = 5
) -> list[Ratio]:
    """Judging many runs, against each on its own from the references' logits, as the paper's own code does: its time
    for one is scaled up to all."""
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_logits(folder, draws, count, samples, references, classes)
        ways = {"together": lambda: judged(folder, count), "one": lambda: judged(folder, 1)}
        taken = alternated(ways, repeats)
    against = f"one at a time, the references' logits read and made signals for each (1, scaled to {count})"
    return [Ratio.of_times(against, taken["together"], count * taken["one"], 5)]


def random_logits(folder: Path, draws: np.random.Generator, count: int, samples: int, references: int, classes: int):
    """Write logits of `references` and of `count` runs, of which a sixth of the samples is for testing."""

    def logits(models: int) -> Parts:
        rows = (draws.standard_normal((1, samples, classes), dtype=np.float32) for _ in range(models))
        return Parts((models, samples, classes), rows)

    test = np.arange(samples) >= samples * 5 // 6
    masks = {"test": test, "forget": ~test & (draws.random(samples) < 0.1)}
    labels = draws.integers(0, classes, samples)
    write_arrays(folder / "references.h5", {"logits": logits(references), "labels": labels, **masks})
    write_arrays(folder / "runs.h5", {"logits": logits(count)})
