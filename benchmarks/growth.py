"""How the cost of what is done often grows with samples, references, the share to forget, methods and runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from attacks import attacked
from demo import ATTACK, CONFIG, Digits, forward_of, recipe
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from noop import PAPER
from ratios import alternated, short
from request import Forgetting
from scoring import judged, random_logits

from amun_steps.judging import mis
from amun_steps.judging.comparison import CLUSTERS
from amun_steps.plan import views
from amun_steps.plan.config_file import read
from amun_steps.steps.adversarial import build_adversarial_set
from amun_steps.training.fit import fit
from amun_steps.training.recipe import Member, Samples, Schedule
from amun_steps.training.stack import initialise
from amun_steps.views.comparison import pairs
from amun_steps.views.judges import JUDGES, SETTING

FIGURE = Path(__file__).parent / "growth.png"


@dataclass(frozen=True)
class Curve:
    """Median `seconds` of some work by the `sizes` of what it `grows` with."""

    work: str
    grows: str
    sizes: Sequence[float]
    seconds: Sequence[float]

    @property
    def exponent(self) -> float:
        """By a straight line through the logarithms."""
        return slope(self.sizes, self.seconds)

    @property
    def last(self) -> float:
        """The same between the two largest sizes, where what does not grow weighs least."""
        return slope(self.sizes[-2:], self.seconds[-2:])

    @property
    def sorting(self) -> float:
        """That of n log n between the two largest sizes; of a share, 1."""
        return slope(self.sizes[-2:], n_log_n(self.sizes[-2:]))


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent of a power of the size that is nearest to costs."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def n_log_n(sizes: Sequence[float]) -> np.ndarray:
    """What sorting costs, but for a factor; of shares, which have no logarithm to grow with, n."""
    sizes = np.array(sizes, dtype=float)
    return sizes * np.log(sizes) if sizes.min() > 1 else sizes


def judging_samples(count: int) -> Callable[[], object]:
    """Accuracies and RMIA of one model."""
    return _judging(runs=1, samples=count)


def judging_runs(count: int) -> Callable[[], object]:
    """Accuracies and RMIA of several models of 6,000 samples."""
    return _judging(runs=count, samples=6_000)


def signals(references: int) -> Callable[[], object]:
    """What references say of 6,000 samples, and a model's accuracies and RMIA by that."""
    return _judging(runs=1, samples=6_000, references=references)


def _judging(runs: int, samples: int, references: int = 1) -> Callable[[], object]:
    folder = TemporaryDirectory()
    random_logits(Path(folder.name), np.random.default_rng(0), runs, samples, references, classes=10)
    return lambda: judged(Path(folder.name), runs)


def mis_samples(count: int) -> Callable[[], object]:
    """MIS by all five features; a sixth of the samples is for testing. The true class leads by what it may lead by."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 10, count)
    logits = draws.standard_normal((count, 10)) + 4 * np.eye(10)[labels]
    remain, forget, test = np.split(np.arange(count), [count * 3 // 4, count * 5 // 6])
    return lambda: mis.scores(logits, labels, remain, forget, test, np.random.default_rng(0))


def epoch(count: int) -> Callable[[], object]:
    """An epoch of the demo's network on samples of digits, which are taken several times."""
    digits, wanted = Digits(), recipe(CONFIG["training"]["scratch"], epochs=1)
    samples = Samples.among(digits.data.train, digits.labels)
    samples = samples[np.arange(count) % len(samples)]
    model = initialise(digits.network, [0], digits.images.device)
    member = Member(lambda *_: [samples], Schedule(0.01), 0)
    return lambda: fit(model, digits.images, [member], wanted)


def algorithm1(count: int) -> Callable[[], object]:
    """Algorithm 1 on samples of digits, which are taken several times, from the demo's epsilon_init."""
    model, images, labels = attacked(None, epochs=10)
    rows = np.arange(count) % len(images)
    forward, x, y = forward_of(model), images[rows], labels[rows]
    return lambda: build_adversarial_set(forward, x, y, 1.28, ATTACK, range(count))


def request(share: float) -> Callable[[], object]:
    """One request by AMUN, D_A included, that forgets a share of digits."""
    forgetting = Forgetting(share, epochs=10)
    return lambda: forgetting.ours(0)


def planning(methods: int) -> Callable[[], object]:
    """The plan of the paper's config with so many methods, each with a grid of its own, in its first experiment."""
    config = read(PAPER)
    grids = {f"method{k}": {"module": "ft", "grid": {"learning_rate": [0.1 / (k + 1)]}} for k in range(methods)}
    first = next(iter(config["experiments"]))
    experiments = config["experiments"] | {first: config["experiments"][first] | {"methods": list(grids)}}
    wanted = config | {"experiments": experiments, "methods": config["methods"] | grids}
    wanted |= {key: {} for key in ("tables", "figures", "requests")}
    return lambda: views.load(wanted)


def comparing(methods: int) -> Callable[[], object]:
    """All pairs of methods, by three judges and 3 sets x 3 originals."""
    names = [f"method{k}" for k in range(methods)]
    levels = [["experiment"], ["forget"], ["access"], names, [0], range(3), range(3)]
    index = pd.MultiIndex.from_product(levels, names=[*SETTING, "method", *CLUSTERS])
    judges = [judge.name for judge in JUDGES[:3]]
    cells = pd.DataFrame(np.random.default_rng(0).random((len(index), 3)), index, judges)
    return lambda: pairs(cells)


SAMPLES = (1_000, 4_000, 15_000, 60_000)
WORK = {
    "accuracies and RMIA of a model": (judging_samples, "samples", SAMPLES),
    "an epoch of training": (epoch, "samples", SAMPLES),
    "Algorithm 1": (algorithm1, "samples", (1_000, 4_000, 15_000)),
    "MIS of a model": (mis_samples, "samples", (1_000, 2_000, 4_000, 8_000)),
    "signals of references": (signals, "references", (16, 32, 64, 128, 256)),
    "a request by AMUN": (request, "forget share", (0.05, 0.1, 0.2, 0.4, 0.8)),
    "the plan": (planning, "methods", (5, 10, 20, 40)),
    "the comparison of all pairs": (comparing, "methods", (5, 10, 20, 40)),
    "accuracies and RMIA of models": (judging_runs, "runs", (3, 9, 27, 81)),
}
"""What is timed: the function that makes it ready, what it grows with and the sizes."""


def growth(sizes: Mapping[str, Sequence[float]] | None = None, repeats: int = 5, figure: Path = FIGURE) -> list[Curve]:
    """The Curve of each of WORK, drawn into a figure. sizes: of some of WORK, which alone is done."""
    curves = []
    for name in sizes or WORK:
        ready, grows, own = WORK[name]
        wanted = sizes[name] if sizes else own
        runs = {size: ready(size) for size in wanted}
        taken = alternated(runs, repeats)
        curves.append(Curve(name, grows, wanted, list(taken.values())))
    draw(curves).savefig(figure, dpi=80)
    return curves


def draw(curves: Sequence[Curve]) -> Figure:
    """Seconds by size, a panel for each thing that is grown with, on logarithmic axes; dotted: n log n."""
    panels = list(dict.fromkeys(curve.grows for curve in curves))
    figure = Figure(figsize=(2.6 * len(panels), 3.4), layout="constrained")
    for axes, grows in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for curve in curves:
            if curve.grows == grows:
                (line,) = axes.loglog(curve.sizes, curve.seconds, "o-", markersize=3)
                line.set_label(f"{curve.work}: {curve.exponent:.2f}")
                guide = n_log_n(curve.sizes)
                axes.loglog(
                    curve.sizes, curve.seconds[-1] * guide / guide[-1], ":", color=line.get_color(), linewidth=1
                )
        axes.set_xlabel(grows)
        axes.set_xticks(max((curve.sizes for curve in curves if curve.grows == grows), key=len))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))
            axis.set_minor_formatter(NullFormatter())
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    figure.axes[0].set_ylabel("seconds")
    return figure
