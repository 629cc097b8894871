"""What a family of forget sets of a config is: drawn at random, listed in files, whole classes, or by memorisation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amun_steps.datasets import Sizes, other_classes, share_of
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.stage import Stage
from amun_steps.store.lists import digest, left_of, numbers_of, read_list
from amun_steps.store.step import InputError

LEAST_REFERENCES = 8
"""Of fewer references, half for memorisation and half to judge, too many samples are in all of a half or in none."""


@dataclass(frozen=True)
class Family:
    """How a family's sets are chosen: the step of `amun_steps.steps.forget` that does it, and its parameters.

    sets: how many are reported. label: what is forgotten, as in the head of a column. caption: the same in full. note:
    how such sets are judged, where it is not as random ones are.
    """

    step: str
    parameters: Mapping[str, Any]
    sets: int
    label: str
    caption: str
    note: str = ""
    elsewhere: Mapping[str, Any] = field(default_factory=dict)


def family_of(wanted: Mapping[str, Any]) -> Family:
    """The family of an entry of a config's `forget`. Raises InputError for a list that cannot be read."""
    if "indices" in wanted:
        return _listed(_files(wanted))
    if "classes" in wanted:
        return _classes(sets_of_classes(wanted["classes"]))
    share, sets = f"{100 * wanted['fraction']:g}%", wanted["sets"]
    if "memorised" in wanted:
        label = f"{'most' if wanted['memorised'] == 'high' else 'least'} memorised {share}"
        note = f"The {label} were chosen by half of the reference models and judged by the other half."
        return Family("memorised", wanted, sets, label, f"{label[0].upper()}{label[1:]}", note)
    return Family("fraction", wanted, sets, share, f"Random forget ({share})")


def told_apart(families: Mapping[str, Family]) -> dict[str, Family]:
    """Families of an experiment by name; where two have one label, as two lists of as many samples, with their names in
    it."""
    count = Counter(family.label for family in families.values())
    return {
        name: family
        if count[family.label] == 1
        else replace(family, label=f"{family.label}: {name}", caption=f"{family.caption}: {name}")
        for name, family in families.items()
    }


def _files(wanted: Mapping[str, Any]) -> list[str]:
    """The files of a family that is listed, one or several in the config."""
    return [wanted["indices"]] if isinstance(wanted["indices"], str) else list(wanted["indices"])


def _listed(files: list[str]) -> Family:
    lists = [read_list(Path(file)) for file in files]
    sizes = sorted({len(samples) for samples in lists})
    label = f"{' or '.join(map(str, sizes))} listed"
    parameters = {"digests": [digest(samples) for samples in lists], "sets": len(files)}
    return Family("listed", parameters, len(files), label, f"{label} samples", elsewhere={"lists": files})


def _classes(classes: Sequence[Sequence[int]]) -> Family:
    label = "class " + " or ".join("+".join(map(str, wanted)) for wanted in classes)
    note = f"FT AUC tells forgotten images ({label}) from test images of the same class."
    parameters = {"classes": classes, "sets": len(classes)}
    return Family("classes", parameters, len(classes), label, f"{label[0].upper()}{label[1:]}", note)


def sets_of_classes(classes: Sequence[int | Sequence[int]]) -> list[list[int]]:
    """`classes` of a config as a list of classes for each forget set."""
    return [[wanted] if isinstance(wanted, int) else list(wanted) for wanted in classes]


def forgotten(forget: Stage, sizes: Sizes) -> int:
    """About how many samples a set of the stage has."""
    parameters = forget.parameters
    if "fraction" in parameters:
        return round(parameters["fraction"] * sizes.train)
    if "classes" in parameters:
        return round(len(parameters["classes"][0]) / sizes.classes * sizes.train)
    return len(read_list(Path(forget.elsewhere["lists"][0])))


def check_family(key: str, wanted: Mapping[str, Any], sizes: Sizes | None, references: int, dataset: str) -> None:
    """Raise ConfigError for a family, found at `key`, that an experiment's data do not have or leave nothing to keep.

    sizes: the data set's, where they are known before it is read. references: the experiment's.
    """
    if "memorised" in wanted and references < LEAST_REFERENCES:
        raise ConfigError(
            f"{key}.memorised: found {references} references, expected at least {LEAST_REFERENCES}: half tell"
            " what is memorised, and the other half judges"
        )
    if sizes is None:
        return
    try:
        if "fraction" in wanted:
            share_of(
                sizes.train, wanted["fraction"], f"{key}.fraction", wanted["sets"] + 1 if "memorised" in wanted else 1
            )
        elif "classes" in wanted:
            other_classes(sizes.classes, sets_of_classes(wanted["classes"]), f"{key}.classes", sizes.untested)
        else:
            lists = {file: read_list(Path(file)) for file in _files(wanted)}
            if sizes.names is None and any(isinstance(sample, str) for samples in lists.values() for sample in samples):
                return  # names are known when the data are read
            count, names = sizes.train + sizes.test, sizes.names
            where = f"{key}.indices"
            found = [numbers_of(samples, sizes.train, count, f"{where}: {f}", names) for f, samples in lists.items()]
            left_of(sizes.train, found, where)
    except InputError as error:
        raise ConfigError(f"{error} (datasets.{dataset})") from None
