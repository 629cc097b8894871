"""What all benchmarks share: ways of doing the same work that are timed in turn, and what is said of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from amun_steps.training.device import device


def short(number: float) -> str:
    """Three digits of a number, without an exponent."""
    return f"{float(f'{number:.3g}'):,.12g}"


@dataclass(frozen=True)
class Ratio:
    """How this project does beside a named alternative in the same work.

    ratio: the alternative's cost over ours, the larger the better. least: what it should be, None where nobody said.
    ours, theirs: what was measured, with units.
    """

    against: str
    ratio: float
    least: float | None
    ours: str
    theirs: str

    @classmethod
    def of_times(cls, against: str, ours: float, theirs: float, least: float | None = None) -> "Ratio":
        """Of seconds for the same work."""
        return cls(against, theirs / ours, least, f"{short(ours)} s", f"{short(theirs)} s")


def seconds(run: Callable[[], object]) -> float:
    """Of one run, until the device is through."""
    wait = torch.cuda.synchronize if device().type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - start


def alternated(runs: dict[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """The median seconds of each of several ways, which take turns; the first round is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return {name: median(times) for name, times in taken.items()}
