"""What an audit concludes, in words, from an interval of FT AUC: decided by the interval, never by its middle alone."""

from dataclasses import dataclass
from typing import Literal

from amun_steps.judging.intervals import samples_for
from amun_steps.views.runs import TIED

CHANCE = 50.0
"""FT AUC, in percent, of a model whose answers do not tell the listed samples from test samples."""

MARGIN = 5.0
"""How far from CHANCE, in percent, an FT AUC may be for there to be no sign of memory."""

Kind = Literal["remembered", "no sign", "set apart", "says nothing"]

MEANS: dict[Kind, str] = {
    "remembered": "The model remembers samples of this list: the attack tells them from test samples more often than"
    " chance explains.",
    "no sign": f"No sign of memory that this attack can find: the interval of FT AUC is within {MARGIN:g} points of"
    f" {CHANCE:g}.",
    "set apart": "The listed samples look less like training samples than test samples do. That is no memory as of"
    " training, but it tells them apart: a model that was made to forget too much does this, and so does a list that is"
    " not like the test set.",
    "says nothing": "What was found fits a model that remembers these samples and one that does not.",
}

PROVES: dict[Kind, str] = {
    "remembered": "It does not prove that every listed sample is remembered, nor that the model was trained on them: a"
    " list that is easier than the test set, or of another source, looks the same. Audit a list of samples like these"
    " that the model cannot have seen to rule that out.",
    "no sign": "It does not prove that the model was never trained on them: a stronger attack or more references can"
    " find what this one does not, and single samples can be remembered where the list as a whole is not.",
    "set apart": "It proves neither that the samples were used nor that they were not. Where the list is like the test"
    " set, someone who has both can still tell which samples were treated in another way.",
    "says nothing": "It must be read neither as a sign of memory nor as one of forgetting.",
}


@dataclass(frozen=True)
class Verdict:
    """kind: in one word or two. short: the numbers and it, in one line. words: what it means, and proves or not."""

    kind: Kind
    short: str
    words: list[str]


def verdict(ft_auc: float, interval: tuple[float, float], samples: int, tests: int, ties: float) -> Verdict:
    """The verdict on `samples` listed samples against `tests` test samples; FT AUC and its 95% interval in percent.

    ties: how many of these samples, in percent, have the most frequent score. An attack that tells hardly any apart
    finds no sign in any model.
    """
    low, high = interval
    kind = _kind(low, high)
    blunt = low <= CHANCE <= high and ties > TIED
    kind = "says nothing" if blunt else kind
    count = "1 sample" if samples == 1 else f"{samples} samples"
    short = f"{count}: FT AUC {ft_auc:.1f} [{low:.1f}, {high:.1f}]: {kind}"
    needed = []
    if blunt:
        needed.append(
            f"The attack gave one score to {ties:.0f}% of these samples: more references, or a lower rmia.gamma, tell"
            " more of them apart."
        )
    elif kind == "says nothing":
        needed.append(_needed(samples, tests))
    return Verdict(kind, short, [MEANS[kind], *needed, PROVES[kind]])


def _kind(low: float, high: float) -> Kind:
    if low > CHANCE:
        return "remembered"
    if low >= CHANCE - MARGIN and high <= CHANCE + MARGIN:
        return "no sign"
    return "set apart" if high < CHANCE else "says nothing"


def _needed(samples: int, tests: int) -> str:
    """How many samples it takes to say something, also of a model that does not remember."""
    wanted = samples_for(MARGIN, tests)
    narrow = f"an interval of {CHANCE:g} +- {MARGIN:g}, which tells no memory from some,"
    if wanted is None:
        return f"For {narrow} the {tests} test samples are too few, however long the list is."
    if wanted > samples:
        return f"For {narrow} a list has to have about {wanted} samples."
    return f"The list is long enough for {narrow} but FT AUC lies at its edge; a longer one would decide."
