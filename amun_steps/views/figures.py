"""Step: a figure of the paper, as PDF and PNG, with the plotted numbers as CSV."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from amun_steps.steps.choose import read_grid
from amun_steps.steps.forget import load_forget
from amun_steps.store.arrays import hdf5
from amun_steps.store.step import Output, main, step
from amun_steps.training.data import load_labels
from amun_steps.views.look import GRID_STYLES, HEIGHT, LOOK, STYLES, WIDTH, legend, name_of, save, style_of


@dataclass(frozen=True)
class Panel:
    """A panel: `kind` names one of PANELS; `files` are the inputs' numbers for each of `names`; `show` selects."""

    kind: str
    title: str
    names: list[str]
    files: list[list[int]]
    show: str = ""


def draw_curves(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """Test accuracy by epoch, the mean over the originals with their range (see `amun_steps.steps.finetune`).

    `show` says what the sets are joined with.
    """
    rows = pd.read_csv(files[0][0])
    rows = rows[rows.panel == panel.show]
    found = rows.groupby(["set", "epoch"], sort=False).test_accuracy.agg(["mean", "min", "max"]).reset_index()
    for name in panel.names:
        curve = found[found["set"] == name]
        if curve.empty:  # one that two classes have not
            continue
        _line(axis, name, curve["epoch"], curve["mean"])
        axis.fill_between(curve["epoch"], curve["min"], curve["max"], color=style_of(name)[0], alpha=0.1, linewidth=0)
    axis.set(xlabel="Epoch", ylabel="Test accuracy (%)")
    axis.xaxis.get_major_locator().set_params(integer=True)
    return found


def draw_requests(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """A metric after each request, by method: the mean over sequences with its standard error (see
    `amun_steps.steps.continuous`).

    The runs of one sequence are not independent: `value` is their mean, and the error is that of the mean over
    sequences; none where there is only one. `show` is a column, or 'difference': FR AUC - FT AUC.
    """
    found = []
    for name, paths in zip(panel.names, files, strict=True):
        rows = pd.concat([pd.read_csv(path) for path in paths])
        rows["difference"] = rows.fr_auc - rows.ft_auc
        values = rows.groupby(["request", "set"])[panel.show].mean().rename("value").reset_index()
        by_request = values.groupby("request").value
        mean, error = by_request.mean(), by_request.sem()
        bars = {"yerr": error, "capsize": 1.5, "elinewidth": 0.6} if error.notna().any() else {}
        _line(axis, name, mean.index, mean, **bars)
        found.append(values.assign(method=name, mean=values.request.map(mean), error=values.request.map(error)))
    titles = {"difference": "FR AUC - FT AUC (points)", "ft_auc": "FT AUC (%)", "fr_auc": "FR AUC (%)"}
    axis.set(xlabel="Unlearning request", ylabel=titles[panel.show])
    axis.xaxis.get_major_locator().set_params(integer=True)
    return pd.concat(found)


def draw_confidence(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """Histograms of phi = log(p / (1 - p)) of the true class, with Gaussian fits (F.1).

    The files of one name are outputs, dataset and forget sets; the model is the first, the set the first.
    """
    outputs, dataset, forget = files[0]
    labels, train = load_labels(dataset)
    chosen = load_forget(forget, train)[0]
    with hdf5(outputs) as file:
        phi = confidence(file["logits"][0].astype(np.float64), labels)
    axis.set(xlabel=r"Confidence $\phi$ (log odds)", ylabel="Density")
    if not np.isfinite(phi).all():
        axis.text(0.5, 0.5, "diverged", transform=axis.transAxes, ha="center")
        return pd.DataFrame({"part": ["remain", "test", "forget"]})
    parts = {"remain": phi[train & ~chosen], "test": phi[~train], "forget": phi[chosen]}
    low, high = np.percentile(phi, [0.2, 99.8])
    edges = np.linspace(low, high, 31)
    x = np.linspace(low, high, 200)
    found = []
    for name, values in parts.items():
        density, _ = np.histogram(values, edges, density=True)
        mean, std = values.mean(), values.std()
        axis.stairs(density, edges, fill=True, color=style_of(name)[0], alpha=0.25)
        axis.plot(x, norm.pdf(x, mean, std), color=style_of(name)[0], label=name_of(name))
        bins = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "density": density})
        found.append(bins.assign(part=name, mean=mean, std=std))
    return pd.concat(found)


def confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) phi(f(x)_y) = log(p_y / (1 - p_y)) of (N, classes) logits, without p's rounding to 1 (F.1)."""
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    return logits[rows, labels] - np.logaddexp.reduce(others, axis=1)


def draw_distances(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """delta_x of two kinds of adversarial examples, a point per image, all originals; the dashed line is x = y."""
    x, y = (np.concatenate([_column(path, "distance") for path in paths]) for paths in files)
    original = np.repeat(range(len(files[0])), [len(_column(path, "distance")) for path in files[0]])
    both = np.isfinite(x) & np.isfinite(y)  # else one of the attacks found nothing
    x, y, original = x[both], y[both], original[both]
    axis.plot(x, y, ".", color="#0072B2", markersize=1.5, alpha=0.35, rasterized=True)
    end = max([0.0, *x, *y])
    axis.plot([0, end], [0, end], "--", color="#000000", linewidth=0.8)
    axis.set(xlabel=f"$\\delta_x$, {panel.names[0]} ($\\ell_2$)", ylabel=f"$\\delta_x$, {panel.names[1]} ($\\ell_2$)")
    _note(axis, 0.03, f"above the line: {100 * (y > x).mean():.1f}%" if len(x) else "found by neither")
    return pd.DataFrame({"x": x, "y": y, "original": original})


def draw_epsilons(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """The share of samples at each final epsilon of Algorithm 1, and its work in runs of the attack (E.1).

    `show` is the number of gradients of one run; the search for epsilon_init is not in it. Samples without an
    adversarial example are in the work alone.
    """
    columns = ("epsilon", "passes", "distance")
    epsilon, passes, distance = (np.concatenate([_column(path, name) for path in files[0]]) for name in columns)
    values, counts = np.unique(epsilon[np.isfinite(distance)], return_counts=True)
    share = 100 * counts / counts.sum()
    axis.bar(range(len(values)), share, color="#0072B2")
    axis.set_xticks(range(len(values)), [f"{value:.3g}" for value in values], rotation=45)
    axis.set(xlabel=r"Final $\epsilon$ ($\ell_2$)", ylabel="Share of samples (%)")
    axis.set(xlim=(-1, len(values)), ylim=(0, 115), yticks=range(0, 101, 20))
    runs = passes.mean() / int(panel.show)
    _note(axis, 0.93, f"work: {runs:.2f} runs")
    return pd.DataFrame({"epsilon": values, "share": share, "runs_of_the_attack": runs})


def draw_losses(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """Training loss by epoch: the mean over a stage's models that did not diverge, with their range."""
    found = []
    for name, paths in zip(panel.names, files, strict=True):
        losses = np.concatenate([_column(path, "training_loss") for path in paths]).astype(np.float64)
        losses = losses[np.isfinite(losses).all(axis=1)]
        if not len(losses):
            continue
        epochs = np.arange(1, losses.shape[1] + 1)
        low, mean, high = losses.min(axis=0), losses.mean(axis=0), losses.max(axis=0)
        (line,) = axis.plot(epochs, mean, color=STYLES.get(name, (None,))[0], label=name_of(name))
        axis.fill_between(epochs, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
        found.append(pd.DataFrame({"name": name, "epoch": epochs, "mean": mean, "min": low, "max": high}))
    axis.set(xlabel="Epoch", ylabel="Mean training loss", yscale="log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    return pd.concat(found) if found else pd.DataFrame({"name": []})


def draw_grid(axis: Axes, panel: Panel, files: Sequence[Sequence[Path]]) -> pd.DataFrame:
    """Avg. Gap of a method's tuning over the learning rate, a line for each choice of the rest; the star was chosen.

    The files are the grid and the choice (see `amun_steps.steps.choose`). A trial that diverged has no point, and one
    that racing stopped is crossed out: its gap is over fewer originals. Of a method that has no learning rate it is
    over its first hyperparameter of numbers that varies, or else a point for each choice.
    """
    rows, chosen = read_grid(*files[0])
    others = [name for name in chosen if name != "learning_rate"]
    varied = [name for name in others if rows[name].nunique() > 1]
    over, label = "learning_rate", "Learning rate"
    if not chosen["learning_rate"]:
        numbers = [name for name in varied if pd.to_numeric(rows[name], errors="coerce").notna().all()]
        over = numbers[0] if numbers else "choice"
        label, varied = over.replace("_", " ").capitalize(), [name for name in varied if name != over]
        rows[over] = rows[over].astype(float) if numbers else np.arange(len(rows))
    groups = rows.groupby(varied, sort=False, dropna=False) if varied else [((), rows)]
    for number, (values, line) in enumerate(groups):
        said = ", ".join(f"{name} {value}" for name, value in zip(varied, values, strict=True)) or "all"
        line = line.sort_values(over)
        style = GRID_STYLES[number % len(GRID_STYLES)]
        axis.plot(line[over], line.average_gap, label=said.replace("null", "none"), **style)
    stopped = rows[rows.stopped]
    if len(stopped):
        axis.plot(stopped[over], stopped.average_gap, "x", color="#555555", zorder=3, label="stopped")
    best = rows[rows.chosen]
    axis.plot(best[over], best.average_gap, "*", color="#D55E00", markersize=10, zorder=3, label="chosen")
    axis.set(xlabel=label, ylabel="Avg. Gap (points)", xscale="linear" if over == "choice" else "log")
    return rows


def _column(path: Path, name: str) -> np.ndarray:
    with hdf5(path) as file:
        return file[name][:]


def _note(axis: Axes, height: float, text: str) -> None:
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axis.text(0.97, height, text, transform=axis.transAxes, ha="right", fontsize=7, bbox=ground)


def _line(axis: Axes, name: str, x, y, **options) -> None:
    colour, marker, dashes = style_of(name)
    axis.errorbar(x, y, color=colour, marker=marker, linestyle=dashes, label=name_of(name), **options)


PANELS: dict[str, Callable[[Axes, Panel, Sequence[Sequence[Path]]], pd.DataFrame]] = {
    "curves": draw_curves,
    "requests": draw_requests,
    "confidence": draw_confidence,
    "distances": draw_distances,
    "epsilons": draw_epsilons,
    "losses": draw_losses,
    "grid": draw_grid,
}


@step
def figure(*, panels: list[Panel], inputs: list[Path], pdf: Output, png: Output, csv: Output) -> None:
    """Draw the panels side by side; `csv` gets the plotted numbers, with the panel's number from 1 and its title."""
    drawn, found = draw(panels, inputs)
    save(drawn, pdf, png)
    found.to_csv(csv, index=False, float_format="%.6f", lineterminator="\n")


def draw(panels: Sequence[Panel], inputs: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    """The panels side by side, and the plotted numbers, with the panel's number from 1 and its title."""
    matplotlib.use("Agg")
    with matplotlib.rc_context(LOOK):
        drawn = Figure(figsize=(WIDTH * len(panels), HEIGHT + 0.35), layout="constrained")
        axes = drawn.subplots(1, len(panels), squeeze=False)[0]
        found = []
        for number, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
            rows = PANELS[panel.kind](axis, panel, [[inputs[n] for n in files] for files in panel.files])
            axis.set_title(panel.title)
            found.append(rows.assign(panel=number + 1, title=panel.title))
        legend(drawn)
        drawn.get_layout_engine().execute(drawn)  # while LOOK holds
    return drawn, pd.concat(found)


if __name__ == "__main__":
    main(figure)
