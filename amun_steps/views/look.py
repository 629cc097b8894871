"""How figures look: the colour, line and name of each method and set."""

import itertools
import re
import zlib
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from amun_steps.views.tables import METHODS

# Okabe and Ito's colours, which colour-blind readers tell apart; markers and dashes tell them apart in grey, too.
STYLES = {
    "amun": ("#D55E00", "o", "-"),
    "amun_adaptive": ("#000000", "D", "-"),
    "amun_salun": ("#E69F00", "s", "-"),
    "ft": ("#0072B2", "^", "--"),
    "rl": ("#009E73", "v", "--"),
    "ga": ("#CC79A7", "P", "--"),
    "bs": ("#56B4E9", "X", "--"),
    "l1_sparse": ("#8C8C00", "<", "--"),
    "salun": ("#7F3C8D", ">", "--"),
    "amun_ddn": ("#A0522D", "d", "-"),
    "amun_transferred": ("#F0A000", "h", "-"),
    "amun_ffgsm": ("#7A3B00", "p", "-"),
    # the others in Tol's muted colours
    "neggrad_plus": ("#AA4499", "p", "-."),
    "scrub": ("#332288", "h", "-."),
    "bad_teacher": ("#117733", "v", "-."),
    "delete": ("#882255", "X", "-."),
    "cf_k": ("#88CCEE", "^", ":"),
    "eu_k": ("#44AA99", "<", ":"),
    "msg": ("#999933", ">", "-."),
    "ct": ("#DDCC77", "s", "-."),
    "unsir": ("#CC6677", "P", "-."),
    "ssd": ("#666666", "D", ":"),
    "fisher": ("#999999", "h", ":"),
    "influence": ("#333333", "p", ":"),
    "adv": ("#D55E00", "o", "-"),
    "orig": ("#000000", "s", "-"),
    "adv_rs": ("#0072B2", "^", "--"),
    "adv_rl": ("#009E73", "v", "--"),
    "orig_rl": ("#CC79A7", "P", "--"),
    "orig_advl": ("#56B4E9", "X", "--"),
    "original": ("#000000", "", "-"),
    "remain": ("#0072B2", "", "-"),
    "forget": ("#D55E00", "", "-"),
    "test": ("#009E73", "", "-"),
}
OTHERS = list(itertools.product(("#4477AA", "#228833", "#EE6677", "#AA3377", "#66CCEE"), "8HPXd", (":", "-.")))
"""Of which a method of one's own has one by its name, so that it looks alike in all figures."""
GRID_STYLES = [
    {"color": colour, "linestyle": dashes, "marker": marker}
    for dashes, marker in (("-", "o"), ("--", "s"), (":", "^"))
    for colour in ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
]
NAMES = METHODS | {
    "adv": "Adv",
    "orig": "Orig",
    "adv_rs": "Adv-RS",
    "adv_rl": "Adv-RL",
    "orig_rl": "Orig-RL",
    "orig_advl": "Orig-AdvL",
    "remain": "D_R",
    "forget": "D_F",
    "test": "$D_T$ (test)",
}
LOOK = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.hashsalt": "amun",
}
WIDTH, HEIGHT = 2.3, 2.0
"""Inches of a panel: three of them are a page's text width."""


def style_of(name: str) -> tuple[str, str, str]:
    """The colour, marker and dashes of a method or a set."""
    return STYLES.get(name) or OTHERS[zlib.crc32(name.encode()) % len(OTHERS)]


def name_of(name: str) -> str:
    """What a legend calls a method or a set; '-A' is for adversarial examples of the model as it is now."""
    base = name.removesuffix("_adaptive")
    return typeset(NAMES.get(base, base)) + ("-A" if base != name else "")


def typeset(text: str) -> str:
    """Plain text with its sets as formulas: D_R, D_F and D_A with a subscript."""
    return re.sub(r"\bD_[RFA]\b", r"$\g<0>$", text)


def legend(drawn: Figure) -> None:
    """One legend below all panels, with each label once, in as few rows as the width allows; none without labels."""
    labels = {label: line for axis in drawn.axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if labels:
        inches = np.array([0.45 + 0.053 * len(label) for label in labels])  # of a line and its label, in LOOK's size

        def width(columns: int) -> float:  # each is as wide as its longest label
            return sum(column.max() for column in np.array_split(inches, columns))

        most = min(len(labels), 3 * len(drawn.axes))
        columns = next((n for n in range(most, 1, -1) if width(n) <= drawn.get_figwidth()), 1)
        drawn.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=columns)


def save(drawn: Figure, pdf: Path, png: Path) -> None:
    """Write a figure as PDF and PNG, without the date, so that the same numbers give the same bytes."""
    with matplotlib.rc_context(LOOK):
        drawn.savefig(pdf, format="pdf", metadata={"CreationDate": None})
        drawn.savefig(png, format="png", metadata={"Software": None})
