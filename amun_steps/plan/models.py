"""What every method of an experiment builds on: data, models, RMIA's references, forget sets and adversarial sets."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amun_steps.plan import given
from amun_steps.plan.forget import family_of, told_apart
from amun_steps.plan.messages import ConfigError
from amun_steps.plan.signatures import said_content
from amun_steps.plan.stage import Stage, stage
from amun_steps.store.content import known_sha256
from amun_steps.store.step import InputError

UNSAID = {"precision": "float32", "compile": False}
"""What a recipe means that does not say it: the defaults of `amun_steps.training.recipe.Recipe`."""


class Models:
    """The stages of an experiment that its methods share, each described by the method that is named like it; they are
    put into `stages`, by slug, as they are asked for. `family` is the name of a family of forget sets."""

    def __init__(self, name: str, config: Mapping[str, Any], stages: dict[str, Stage]):
        self.name, self.config, self.stages = name, config, stages
        self.wanted = config["experiments"][name]
        self.described: dict[tuple[str, ...], Stage] = {}
        self.families = told_apart({family: family_of(config["forget"][family]) for family in self.wanted["forget"]})
        self.seed = config["seed"]
        network = self.wanted["network"]
        self.network_code = f"amun_steps.models.{network['name']}"
        # what people call it: a network of torchvision or timm has a name of its own there
        self.called = re.sub(r"[^A-Za-z0-9_-]", "_", str(network.get("model", network["name"])))[:64]

    @stage
    def dataset(self) -> Stage:
        wanted = dict(self.config["datasets"][self.wanted["dataset"]])
        source = wanted.pop("source")
        elsewhere = {key: wanted.pop(key) for key in ("folder",) if key in wanted}
        try:
            content = said_content(source, wanted | elsewhere)
        except InputError as error:
            raise ConfigError(f"datasets.{self.wanted['dataset']}: {error}") from None
        return Stage(
            kind="dataset",
            name=self.wanted["dataset"],
            parameters={"source": source, "parameters": wanted} | ({"content": content} if content else {}),
            code=["amun_steps.steps.dataset", f"amun_steps.datasets.{source}"],
            elsewhere=elsewhere,
        )

    @stage
    def originals(self) -> Stage:
        if "files" in self.wanted["originals"]:
            return self.from_files("originals", "given", given.of_originals(self.wanted), self.dataset())
        return Stage(
            kind="originals",
            name=self.called,
            parameters={"training": self._training("originals"), "count": self.wanted["originals"]["count"]},
            code=["amun_steps.steps.train", self.network_code],
            builds_on={"dataset": self.dataset()},
            inside=self.dataset(),
        )

    @stage
    def inclusion(self) -> Stage:
        if "files" in self.wanted["references"]:
            return self._given_inclusion()
        count = self.wanted["references"]["count"]
        return Stage(
            kind="inclusion",
            name=f"inclusion{count}",
            parameters={"references": count, "seed": self.seed},
            code=["amun_steps.steps.subsets"],
            builds_on={"dataset": self.dataset()},
            inside=self.dataset(),
        )

    @stage
    def references(self) -> Stage:
        if "files" in self.wanted["references"]:
            files, inclusion = given.of_references(self.wanted), self.inclusion()
            return self.from_files("references", "given-references", files, inclusion, inclusion=inclusion)
        return Stage(
            kind="references",
            name=f"{self.called}-references",
            parameters={"training": self._training("references")},
            code=["amun_steps.steps.references", self.network_code],
            builds_on={"dataset": self.dataset(), "inclusion": self.inclusion()},
            inside=self.inclusion(),
        )

    @stage
    def signals(self) -> Stage:
        return Stage(
            kind="signals",
            name="signals",
            parameters={"signal": {key: value for key, value in self.config["rmia"].items() if key != "gamma"}},
            code=["amun_steps.steps.signals", self.network_code],
            builds_on={"dataset": self.dataset(), "inclusion": self.inclusion(), "references": self.references()},
            inside=self.references(),
        )

    @stage
    def confidences(self) -> Stage:
        return Stage(
            kind="confidences",
            name="confidences",
            parameters={},
            code=["amun_steps.steps.confidences", self.network_code],
            builds_on={"dataset": self.dataset(), "inclusion": self.inclusion(), "references": self.references()},
            inside=self.references(),
        )

    @stage
    def adversarial(self, attack: str) -> Stage:
        """Algorithm 1 with an attack of the config, for the originals: on all of D, or on the forget sets alone."""
        wanted = self.config["attacks"][attack]
        alone = self.families if self.wanted.get("attacked") == "forget" else ()
        sets = {f"forget {family}": self.forget(family) for family in alone}
        return Stage(
            kind="adversarial",
            name=attack,
            parameters={"attack": wanted, "seed": self.seed},
            code=["amun_steps.steps.adversarial", f"amun_steps.attacks.{wanted['algorithm']}", self.network_code],
            builds_on={"dataset": self.dataset(), "originals": self.originals(), **sets},
            inside=self.originals(),
        )

    @stage
    def forget(self, family: str) -> Stage:
        how = self.families[family]
        return Stage(
            kind="forget",
            name=family,
            parameters=how.parameters | {"name": family, "seed": self.seed},
            code=["amun_steps.steps.forget"],
            builds_on={"dataset": self.dataset(), **({"signals": self.signals()} if how.step == "memorised" else {})},
            inside=self.dataset(),
            elsewhere=how.elsewhere,
            step=how.step,
        )

    @stage
    def retrained(self, family: str) -> Stage:
        if "files" in self.wanted["retrained"]:
            files, forget = given.of_retrained(self.config, self.wanted, family), self.forget(family)
            return self.from_files("retrained", "given-retrained", files, forget, forget=forget)
        count = self.wanted["retrained"]["count"]
        return Stage(
            kind="retrained",
            name=f"{self.called}-retrained",
            parameters={"training": self._training("retrained"), "count": count, "forget_name": family},
            code=["amun_steps.steps.train", self.network_code],
            builds_on={"dataset": self.dataset(), "forget": self.forget(family)},
            inside=self.forget(family),
        )

    def _given_inclusion(self) -> Stage:
        """The inclusion matrix of reference models from files."""
        wanted = self.wanted["references"]
        return Stage(
            kind="inclusion",
            name=f"inclusion{wanted['count']}",
            parameters={"references": wanted["count"], "sha256": known_sha256(Path(wanted["inclusion"]))},
            code=["amun_steps.steps.given"],
            builds_on={"dataset": self.dataset()},
            inside=self.dataset(),
            elsewhere={"file": wanted["inclusion"]},
        )

    def from_files(self, kind: str, name: str, files: given.Files, inside: Stage, **reads: Stage) -> Stage:
        """Models from files in place of those that a stage of this kind would make; `name` ends the stage's name."""
        return Stage(
            kind=kind,
            name=f"{self.called}-{name}",
            parameters={"network": self.wanted["network"], "given": given.hashed(files)},
            code=["amun_steps.steps.given", self.network_code],
            builds_on={"dataset": self.dataset(), **reads},
            inside=inside,
            elsewhere={"files": list(files)},
        )

    def _training(self, role: str) -> dict[str, Any]:
        """The `training` parameter of `amun_steps.steps.train` for the models of one role."""
        recipe = self.config["training"][self.wanted[role]["training"]]
        return {"network": self.wanted["network"], **recipe_of(recipe), "seed": self.seed}


def said(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without what it means anyway."""
    return {key: value for key, value in recipe.items() if key not in UNSAID or value != UNSAID[key]}


def recipe_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of the config as its parts: `recipe`, `schedule` and, for robust models, `trades` or `clipping`."""
    recipe = said(recipe)
    schedule = {key: recipe.pop(key) for key in ("learning_rate", "step", "factor")}
    robust = {key: recipe.pop(key) for key in ("trades", "clipping") if key in recipe}
    return {"recipe": recipe, "schedule": schedule, **robust}
