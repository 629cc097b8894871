"""A config names things; this module gives every named thing an address and every address a folder.

`load(config)` checks a config and resolves it to a `Plan`: the stages of every experiment, each with its parameters,
the code that computes it and the stages that it builds on. The Snakefile turns stages into jobs.
"""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from amun_steps.addresses import address, canonical, fingerprint
from amun_steps.config import check, method_needs
from amun_steps.store import STORE

ACCESS = ("with_remain", "without_remain")


@dataclass(frozen=True, eq=False)
class Stage:
    """One named stage: what computes it and where its artifacts lie.

    parameters: what the rule passes to the step, as JSON. builds_on: the stages whose artifacts it reads, by role.
    inside: the stage whose folder this one's lies in; None for the store's root.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    code: Sequence[str]
    builds_on: Mapping[str, "Stage"] = field(default_factory=dict)
    inside: "Stage | None" = None

    @cached_property
    def address(self) -> str:
        return address(self.kind, self.parameters, self.code, [s.address for s in self.builds_on.values()])

    @property
    def slug(self) -> str:
        """`name-address`: the name is for people, the address for machines."""
        return f"{self.name}-{self.address}"

    @cached_property
    def folder(self) -> Path:
        return (self.inside.folder if self.inside else STORE) / self.slug

    def file(self, name: str) -> str:
        """The path of one of the stage's files."""
        return (self.folder / name).as_posix()

    def options(self, *names: str) -> str:
        """The stage's parameters (those of `names`, or all) as options of a step, quoted for a shell, and its code."""
        words = ["--planned-code", ",".join(self.code), fingerprint(self.code)]
        for name, value in self.parameters.items():
            if names and name not in names:
                continue
            words.append("--" + name.replace("_", "-"))
            if isinstance(value, list):
                words += map(str, value)
            else:
                words.append(value if isinstance(value, str) else canonical(value))
        return shlex.join(words)


@dataclass(frozen=True)
class Scored:
    """The scores of a method's models in an experiment: a row of its tables. `access` is empty for models that are not
    unlearned."""

    experiment: str
    method: str
    access: str
    forget: str
    scores: Stage


@dataclass
class Plan:
    """All stages of a config, by slug, and what is scored."""

    config: Mapping[str, Any]
    stages: dict[str, Stage] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)

    def add(self, **fields) -> Stage:
        """The stage with these fields; the one that is there already, when another experiment shares it."""
        stage = Stage(**fields)
        return self.stages.setdefault(stage.slug, stage)

    @property
    def reference_counts(self) -> list[int]:
        """How many reference models each experiment has."""
        return [e["references"]["count"] for e in self.config["experiments"].values()]

    def runs(self, experiment: str) -> Stage:
        """The view of all runs of an experiment."""
        return self._view(experiment, "runs", {}, [s for s in self.scored if s.experiment == experiment])

    def table(self, name: str) -> Stage:
        """The view that is a table of the config: its rows are those methods that can do with the access."""
        wanted = self.config["tables"][name]
        experiment = self.config["experiments"][wanted["experiment"]]
        in_columns = wanted.get("access_in") == "columns"
        shown = [
            s
            for s in self.scored
            if s.experiment == wanted["experiment"]
            and s.forget in wanted["forget"]
            and (s.method == "retrained" or (s.method in wanted["methods"] and s.access in wanted["access"]))
        ]
        of_rows = {(s.method, "" if in_columns else s.access) for s in shown}
        rows = [(m, a) for m in wanted["methods"] for a in ([""] if in_columns else wanted["access"])]
        layout = {
            "title": name.replace("table", "Table "),
            "rows": [{"method": m, "access": a} for m, a in [("retrained", ""), *rows] if (m, a) in of_rows],
            "groups": [
                {"forget": family, "fraction": self.config["forget"][family]["fraction"], "access": access}
                for access in (wanted["access"] if in_columns else [""])
                for family in wanted["forget"]
            ],
            "metrics": wanted["metrics"],
            "mia": "mis" if "mis" in wanted["metrics"] else "ft_auc",
            "references": experiment["references"]["count"],
        }
        return self._view(name, "tables", {"layout": layout}, shown)

    def _view(self, name: str, module: str, parameters: Mapping[str, Any], scored: Sequence[Scored]) -> Stage:
        builds_on = {str(n): s.scores for n, s in enumerate(scored)}
        return Stage("view", name, parameters, [f"amun_steps.{module}"], builds_on)


def load(config: Mapping[str, Any]) -> Plan:
    """The plan of a config. Raises ConfigError before anything is computed when something in it is wrong."""
    check(config)
    plan = Plan(config)
    for name in config["experiments"]:
        _plan_experiment(plan, name)
    return plan


def _plan_experiment(plan: Plan, name: str) -> None:
    """Add an experiment's stages: data, models, references, adversarial sets, and then each family of forget sets."""
    config, experiment = plan.config, plan.config["experiments"][name]
    seed, network = config["seed"], experiment["network"]["name"]
    network_code = f"amun_steps.models.{network}"

    source = dict(config["datasets"][experiment["dataset"]])
    reader = source.pop("source")
    dataset = plan.add(
        kind="dataset",
        name=experiment["dataset"],
        parameters={"source": reader, "parameters": source},
        code=["amun_steps.data", f"amun_steps.datasets.{reader}"],
    )
    originals = plan.add(
        kind="originals",
        name=network,
        parameters={"training": _training(plan, name, "originals"), "count": experiment["originals"]["count"]},
        code=["amun_steps.train", network_code],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    count = experiment["references"]["count"]
    inclusion = plan.add(
        kind="inclusion",
        name=f"inclusion{count}",
        parameters={"references": count, "seed": seed},
        code=["amun_steps.subsets"],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    references = plan.add(
        kind="references",
        name=f"{network}-references",
        parameters={"training": _training(plan, name, "references")},
        code=["amun_steps.train", network_code],
        builds_on={"dataset": dataset, "inclusion": inclusion},
        inside=inclusion,
    )
    signals = plan.add(
        kind="signals",
        name="signals",
        parameters={"signal": {key: value for key, value in config["rmia"].items() if key != "gamma"}},
        code=["amun_steps.signals", network_code],
        builds_on={"dataset": dataset, "references": references},
        inside=references,
    )
    base = {"dataset": dataset, "originals": originals, "signals": signals}
    for family in experiment["forget"]:
        _plan_family(plan, name, family, base)


def _adversarial(plan: Plan, experiment: str, attack: str, base: Mapping[str, Stage]) -> Stage:
    """Algorithm 1 with an attack of the config, for an experiment's originals."""
    wanted = plan.config["attacks"][attack]
    network = plan.config["experiments"][experiment]["network"]["name"]
    return plan.add(
        kind="adversarial",
        name=attack,
        parameters={"attack": wanted, "seed": plan.config["seed"]},
        code=["amun_steps.adversarial", f"amun_steps.attacks.{wanted['algorithm']}", f"amun_steps.models.{network}"],
        builds_on={role: base[role] for role in ("dataset", "originals")},
        inside=base["originals"],
    )


def _plan_family(plan: Plan, name: str, family: str, base: Mapping[str, Stage]) -> None:
    """Add what one family of forget sets needs: the sets, the retrained models, and each method tuned, run, scored.

    base: the experiment's dataset, originals and signals.
    """
    dataset, originals, signals = base["dataset"], base["originals"], base["signals"]
    config, experiment = plan.config, plan.config["experiments"][name]
    seed, network = config["seed"], experiment["network"]["name"]
    network_code = f"amun_steps.models.{network}"
    judge = {**signals.parameters, "gamma": config["rmia"]["gamma"]}

    forget = plan.add(
        kind="forget",
        name=family,
        parameters=config["forget"][family] | {"name": family, "seed": seed},
        code=["amun_steps.subsets"],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    retrained = plan.add(
        kind="retrained",
        name=f"{network}-retrained",
        parameters={
            "training": _training(plan, name, "retrained"),
            "count": experiment["retrained"]["count"],
            "forget_name": family,
        },
        code=["amun_steps.train", network_code],
        builds_on={"dataset": dataset, "forget": forget},
        inside=forget,
    )

    def score(method: str, access: str, models: Stage) -> None:
        names = {
            "experiment": name,
            "dataset": experiment["dataset"],
            "architecture": network,
            "method": method,
            "access": access,
            "forget": family,
            "fraction": config["forget"][family]["fraction"],
            "address": models.address,
        }
        scores = plan.add(
            kind="scores",
            name=f"scores-{family}",
            parameters={"names": names, **judge, "seed": seed},
            code=["amun_steps.score"],
            builds_on={"dataset": dataset, "forget": forget, "signals": signals, "models": models},
            inside=models,
        )
        plan.scored.append(Scored(name, method, access, family, scores))

    score("retrained", "", retrained)
    score("original", "", originals)
    for access, method in itertools.product(ACCESS, experiment["methods"]):
        options = config["methods"][method]
        module = options.get("module", method)
        needs = method_needs(module)
        if "remain" in needs and access == "without_remain":
            continue
        recipe = dict(config["unlearning"][experiment["unlearning"]])
        runs = recipe.pop("runs")
        unlearning = {"method": module, "remain": access == "with_remain", "recipe": recipe, "seed": seed}
        if options.get("transferred"):
            unlearning["transferred"] = True
        run = {"forget_name": family, "unlearning": unlearning}
        grid = {key: config["tuning"][key] for key in ("learning_rate", "step")} | options.get("grid", {})
        reads = {"dataset": dataset, "originals": originals, "forget": forget}
        if "adversarial" in needs:
            reads["adversarial"] = _adversarial(plan, name, options.get("attack", experiment["attack"]), base)
        code = [f"amun_steps.methods.{module}", network_code]
        tuned = plan.add(
            kind="tuned",
            name=f"{method}-{access}-{family}-tuned",
            parameters={**run, **judge, "grid": grid, "on": config["tuning"]["originals"]},
            code=["amun_steps.tune", "amun_steps.grid", *code],
            builds_on={**reads, "retrained": retrained, "signals": signals},
            inside=originals,
        )
        unlearned = plan.add(
            kind="unlearned",
            name=method,
            parameters={**run, "runs": runs},
            code=["amun_steps.unlearn", *code],
            builds_on={**reads, "tuned": tuned},
            inside=tuned,
        )
        score(method, access, unlearned)


def _training(plan: Plan, experiment: str, role: str) -> dict[str, Any]:
    """The `training` parameter of `amun_steps.train` for the models of one role in an experiment."""
    config = plan.config
    recipe = dict(config["training"][config["experiments"][experiment][role]["training"]])
    schedule = {key: recipe.pop(key) for key in ("learning_rate", "step", "factor")}
    robust = {key: recipe.pop(key) for key in ("trades",) if key in recipe}
    network = config["experiments"][experiment]["network"]
    return {"network": network, "recipe": recipe, "schedule": schedule, "seed": config["seed"], **robust}
