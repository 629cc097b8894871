"""Figures with a panel for each setting in which methods are compared, and dots with intervals in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amun_steps.judging.comparison import Difference
from amun_steps.views.look import LOOK, WIDTH, legend, name_of, style_of, typeset
from amun_steps.views.tables import ACCESS

Setting = tuple[str, str, str]
"""An experiment, a family of forget sets, and an access."""

ACROSS = 4
"""Panels beside each other; where there are more, rows of three."""


@dataclass(frozen=True)
class Dot:
    """A number of a method with its interval; filled where the method is told from the lowest."""

    value: Difference
    filled: bool


def panels(
    settings: Sequence[Setting],
    height: Callable[[Setting], float],
    draw: Callable[[Axes, Setting, bool], None],
    label: str = "",
) -> Figure:
    """A figure of a page's text width with a panel for each setting; each experiment and access has rows of its own.

    height: inches of the row of a setting. draw: fills an axis, and is told whether it is the first of its row.
    label: of the x axes, which have one scale then. What the panels label is in one legend.
    """
    rows = []
    for alike in dict.fromkeys((experiment, access) for experiment, _, access in settings):
        own = [setting for setting in settings if (setting[0], setting[2]) == alike]
        across = len(own) if len(own) <= ACROSS else 3
        rows += [own[start : start + across] for start in range(0, len(own), across)]
    heights = [height(row[0]) + 0.35 for row in rows] or [1]
    matplotlib.use("Agg")
    with matplotlib.rc_context(LOOK):
        drawn = Figure(figsize=(3 * WIDTH, sum(heights) + 0.3), layout="constrained")
        across = max([1, *map(len, rows)])
        axes = drawn.subplots(len(heights), across, squeeze=False, height_ratios=heights, sharex=bool(label))
        for axis in axes.flat:
            axis.set_axis_off()
        for line, row in zip(axes, rows, strict=False):
            for axis, setting in zip(line, row, strict=False):
                axis.set_axis_on()
                draw(axis, setting, setting is row[0])
                axis.set_title(typeset(f"{setting[1]}, {ACCESS[setting[2]]}"))
                axis.tick_params(labelbottom=True)
        if label and rows:
            drawn.supxlabel(label, fontsize=8)
        legend(drawn)
        drawn.get_layout_engine().execute(drawn)  # while LOOK holds
    return drawn


def dots(found: Mapping[Setting, Mapping[str, Dot]], label: str) -> Figure:
    """The dots of each setting, with the methods of a row in one order down its left side.

    The scale is linear to 1 and logarithmic beyond, as a method that destroys models is far from all others.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for (experiment, _, access), methods in found.items():
        known = names.setdefault((experiment, access), [])
        known += [name for name in methods if name not in known]

    def draw(axis: Axes, setting: Setting, first: bool) -> None:
        shown = names[setting[0], setting[2]]
        axis.axvline(0, color="#999999", linewidth=0.8)
        for place, name in enumerate(shown):
            if name in found[setting]:
                (colour, marker, _), dot = style_of(name), found[setting][name]
                axis.plot([dot.value.low, dot.value.high], [place, place], color=colour)
                face = colour if dot.filled else "white"
                axis.plot(dot.value.mean, place, marker, color=colour, markerfacecolor=face)
        axis.set(ylim=(len(shown) - 0.5, -0.5), yticks=range(len(shown)))
        axis.set_yticklabels(map(name_of, shown) if first else [])
        axis.set_ylabel(setting[0] if first else "")
        axis.set_xscale("symlog", linthresh=1)
        axis.xaxis.set_major_formatter("{x:g}")

    return panels(list(found), lambda setting: 0.16 * len(names[setting[0], setting[2]]), draw, label)
