"""Step: the choice that wins a method's tuning, from the grid's parts (paper, Appendix C)."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from amun_steps.store.addresses import canonical
from amun_steps.store.progress import LOG
from amun_steps.store.seeds import seed_of
from amun_steps.store.step import Output, main, step


def choices(grid: dict[str, list[Any]], limit: int | None = None) -> list[dict[str, Any]]:
    """All combinations of the grid's values, in the order of its sorted keys: `learning_rate`, `step` and the rest.

    limit: where there are more, so many of them are drawn at random, the same ones for the same grid.
    """
    names = sorted(grid)
    whole = [dict(zip(names, values, strict=True)) for values in itertools.product(*(grid[name] for name in names))]
    if limit is None or len(whole) <= limit:
        return whole
    drawn = np.random.default_rng(seed_of(0, "grid", canonical(grid))).choice(len(whole), limit, replace=False)
    return [whole[number] for number in sorted(drawn)]


def part_of(grid: dict[str, list[Any]], part: int, parts: int, limit: int | None = None) -> list[dict[str, Any]]:
    """The choices of one part of the grid when it is cut into `parts`, numbered from 0."""
    everything = choices(grid, limit)
    return everything[len(everything) * part // parts : len(everything) * (part + 1) // parts]


def going_on(gaps: np.ndarray, share: float) -> np.ndarray:
    """The numbers, ascending, of the choices that racing tries on the next original: successive halving (Jamieson and
    Talwalkar, 2016), with originals for rounds.

    gaps: (choices, originals so far) Avg. Gap; NaN where a run diverged. After each original the `share` of the choices
    left whose mean so far is least goes on, rounded up, so that one always does. Of equal ones the first do, and those
    that diverged last. A choice that has stopped is not looked at any more.
    """
    left = np.arange(len(gaps))
    for tried in range(1, gaps.shape[1] + 1):
        best_first = left[np.argsort(gaps[left, :tried].mean(axis=1), kind="stable")]
        left = np.sort(best_first[: math.ceil(share * len(left))])
    return left


def trial_count(choices: int, originals: int, racing: float | None = None) -> int:
    """On how many pairs of a choice and an original a grid is tried: all, or those that racing comes to."""
    if racing is None:
        return choices * originals
    return sum(len(going_on(np.zeros((choices, tried)), racing)) for tried in range(originals))


def edges(values: dict[str, list[Any]], chosen: dict[str, Any]) -> list[str]:
    """What of a chosen point is the least or largest of its grid's numbers: a sentence for each.

    values: those of each of the grid's keys. True, false, null and text are in no order, and one number has no edge.
    """
    found = []
    for name, value in chosen.items():
        numbers = sorted({v for v in values[name] if isinstance(v, int | float) and not isinstance(v, bool)})
        if len(numbers) > 1 and value in (numbers[0], numbers[-1]) and not isinstance(value, bool):
            which, side = ("least", "below") if value == numbers[0] else ("largest", "above")
            found.append(f"{name} {value:g} is the {which} of its grid: a better one may lie {side}")
    return found


def read_grid(whole: Path, best: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What `choose` wrote: a row per choice, and the chosen values by name, the learning rate among them.

    The rows have each value as the JSON that it is in the grid, `learning_rate` as a number, `average_gap` as the mean
    over the originals that it was tried on (NaN where one diverged), whether racing `stopped` the choice before the
    last of them, and whether it was `chosen`.
    """
    found = json.loads(best.read_text(encoding="utf-8"))
    chosen = {name: found[name] for name in ("learning_rate", "step")} | found["hyperparameters"]
    names = sorted(chosen)
    trials = pd.read_csv(whole, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values={"average_gap": [""]})
    trials[names] = trials[names].replace("", "null")  # pandas writes null so
    trials["stopped"] = trials["stopped_after"].ne("") if "stopped_after" in trials else False
    of_each = trials.groupby(names, sort=False)
    gaps = of_each.average_gap.agg(lambda gap: gap.mean(skipna=False))
    rows = pd.concat([gaps, of_each.stopped.first()], axis=1).reset_index()
    rows["chosen"] = (rows[names] == [canonical(chosen[name]) for name in names]).all(axis=1)
    return rows.assign(learning_rate=rows.learning_rate.astype(float)), chosen


@step
def choose(
    *,
    parts: list[Path] = [],  # noqa: B006 - never changed; None would need a second type
    grid: dict[str, list[Any]],
    on: list[int],
    limit: int | None = None,
    racing: float | None = None,
    whole: Output,
    best: Output,
) -> None:
    """Put the parts of a grid together in `whole` (CSV) and write the choice with the least Avg. Gap to `best` (JSON).

    A choice's gap is its mean over the originals numbered `on`. One that diverges on any of them cannot win, nor one
    that racing stopped (see `tune`); where none is left, the first that was not stopped is taken. limit: how many
    choices of a larger grid were tried. A grid of one choice has no parts: it is taken untried, without a gap. Raises
    ValueError for parts that are not the whole grid.
    """
    everything = choices(grid, limit)
    if len(everything) == 1 and not parts:
        untried = {name: canonical(value) for name, value in everything[0].items()}
        rows = pd.DataFrame([untried | {"original": original, "average_gap": np.nan} for original in on])
    else:
        rows = pd.concat([pd.read_csv(path, dtype=str) for path in parts], ignore_index=True)
    expected = trial_count(len(everything), len(on), racing)
    if len(rows) != expected:
        raise ValueError(
            f"{parts[0].parent}: found {len(rows)} trials in {len(parts)} parts, expected {expected} of"
            f" {len(everything)} choices on {len(on)} originals; delete the parts, and they are made again"
        )
    rows.to_csv(whole, index=False, lineterminator="\n")
    originals = rows.original.astype(int)
    of = (originals == on[0]).cumsum() - 1  # the rows of a choice follow each other, in the order of `on`
    tried = np.full((len(everything), len(on)), np.nan)
    tried[of, originals.map(on.index)] = rows.average_gap.astype(float)
    gaps = tried.mean(axis=1)
    winner = of[originals == on[-1]].iloc[0] if np.isnan(gaps).all() else int(np.nanargmin(gaps))
    LOG.info("chosen: %s", everything[winner])
    if parts and np.isnan(gaps).all():
        LOG.warning("every choice diverged on some original: the first that was not stopped is taken")
    for sentence in edges(grid, everything[winner]):
        LOG.warning("%s", sentence)
    hyperparameters = dict(everything[winner])
    schedule = {name: hyperparameters.pop(name) for name in ("learning_rate", "step")}
    gap = None if np.isnan(gaps[winner]) else round(float(gaps[winner]), 6)
    chosen = {**schedule, "hyperparameters": hyperparameters, "average_gap": gap, "choices": len(everything)}
    best.write_text(json.dumps(chosen, indent=1) + "\n")


if __name__ == "__main__":
    main(choose)
