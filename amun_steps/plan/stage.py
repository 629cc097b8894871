"""A stage: what is computed by one kind of job, its address and the folder that the address is a part of."""

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from amun_steps.store.addresses import STORE, address, canonical, fingerprint
from amun_steps.store.plugins import PLUGINS


@dataclass(frozen=True, eq=False)
class Stage:
    """One named stage: what computes it and where its artifacts lie.

    parameters: what the rule passes to the step, as JSON. builds_on: the stages whose artifacts it reads, by role.
    inside: the stage whose folder this one's lies in; None for the store's root. elsewhere: parameters that cannot
    change what is computed, such as where the data lie, so that the address does not cover them. step: which of the
    steps of its rule's module computes it, where there are several.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    code: Sequence[str]
    builds_on: Mapping[str, "Stage"] = field(default_factory=dict)
    inside: "Stage | None" = None
    elsewhere: Mapping[str, Any] = field(default_factory=dict)
    step: str = ""

    @cached_property
    def address(self) -> str:
        return address(self.kind, self.parameters, self.code, [s.address for s in self.builds_on.values()])

    @property
    def slug(self) -> str:
        """`name-address`: the name is for people, the address for machines."""
        return f"{self.name}-{self.address}"

    @property
    def count(self) -> int:
        """How many original models it is, or how many retrained ones for each forget set."""
        given = self.parameters.get("given")  # from files
        return self.parameters["count"] if given is None else sum(m["set"] == given[0]["set"] for m in given)

    @property
    def module(self) -> str:
        """The step's module: the first of its code."""
        return self.code[0]

    @cached_property
    def folder(self) -> Path:
        return (self.inside.folder if self.inside else STORE) / self.slug

    def file(self, name: str) -> str:
        """The path of one of the stage's files."""
        return (self.folder / name).as_posix()

    def options(self, *names: str) -> str:
        """The stage's parameters (those of `names`, or all) as options of a step, quoted for a shell, and its code."""
        words = ["--plugins", str(PLUGINS.folder)] if PLUGINS.folder else []
        words += ["--planned-code", ",".join(self.code), fingerprint(self.code)]
        for name, value in {**self.parameters, **self.elsewhere}.items():
            if names and name not in names:
                continue
            words.append("--" + name.replace("_", "-"))
            words += map(_word, value if isinstance(value, list) else [value])
        return shlex.join(words)


def _word(value: Any) -> str:
    """A parameter, or an item of one that is a list, as a step's command line takes it."""
    return value if isinstance(value, str) else canonical(value)


@dataclass(frozen=True)
class Scored:
    """The scores of a method's models in an experiment: a row of its tables. `access` is empty for models that are not
    unlearned. replicate: which one of the experiment it is in, from 0. judged: what other judges say of them, where
    they are asked."""

    experiment: str
    method: str
    access: str
    forget: str
    scores: Stage
    replicate: int = 0
    judged: Stage | None = None


def stage(describe: Callable[..., Stage]) -> Callable[..., Stage]:
    """Make a method that describes a stage give one and the same each time, also where another experiment has it.

    Its object keeps what it described in `described`, and shares `stages`, all stages by slug, with others.
    """

    @functools.wraps(describe)
    def described(self: Any, *which: str) -> Stage:
        key = describe.__name__, *which
        if key not in self.described:
            found = describe(self, *which)
            self.described[key] = self.stages.setdefault(found.slug, found)
        return self.described[key]

    return described
