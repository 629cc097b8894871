"""A config names things; this module gives every named thing an address and every address a folder.

`load(config)` checks a config and resolves it to a `Plan`: the stages of every experiment, each with its parameters,
the code that computes it and the stages that it builds on. The Snakefile turns stages into jobs.
"""

import functools
import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from amun_steps.datasets import Sizes
from amun_steps.plan.config import ConfigError, check, method_needs, said_content, said_sizes
from amun_steps.store.addresses import STORE, address, canonical, fingerprint
from amun_steps.store.step import InputError

ACCESS = ("with_remain", "without_remain")


@dataclass(frozen=True, eq=False)
class Stage:
    """One named stage: what computes it and where its artifacts lie.

    parameters: what the rule passes to the step, as JSON. builds_on: the stages whose artifacts it reads, by role.
    inside: the stage whose folder this one's lies in; None for the store's root. elsewhere: parameters that cannot
    change what is computed, such as where the data lie, so that the address does not cover them.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    code: Sequence[str]
    builds_on: Mapping[str, "Stage"] = field(default_factory=dict)
    inside: "Stage | None" = None
    elsewhere: Mapping[str, Any] = field(default_factory=dict)

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
        for name, value in {**self.parameters, **self.elsewhere}.items():
            if names and name not in names:
                continue
            words.append("--" + name.replace("_", "-"))
            if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
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
    """All stages of a config, by slug, and what is scored.

    named: the stages of an experiment, by its name, their kind and what tells them from others of the kind: nothing for
    dataset, originals and signals; a family for forget and retrained; an attack for adversarial; method, access and
    family for tuned and unlearned.
    """

    config: Mapping[str, Any]
    stages: dict[str, Stage] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)
    named: dict[tuple[str, ...], Stage] = field(default_factory=dict)

    def add(self, **fields) -> Stage:
        """The stage with these fields; the one that is there already, when another experiment shares it."""
        stage = Stage(**fields)
        return self.stages.setdefault(stage.slug, stage)

    @property
    def reference_counts(self) -> list[int]:
        """How many reference models each experiment has."""
        return [e["references"]["count"] for e in self.config["experiments"].values()]


def load(config: Mapping[str, Any]) -> Plan:
    """The plan of a config. Raises ConfigError before anything is computed when something in it is wrong."""
    check(config)
    plan = Plan(config)
    for name in config["experiments"]:
        _plan_experiment(plan, name)
    return plan


def known_sizes(dataset: Stage) -> Sizes | None:
    """A data set's sizes: from the store where it is there, else what its reader says; None where that says nothing."""
    path, parameters = Path(dataset.file("dataset.h5")), dataset.parameters["parameters"]
    if not path.is_file():
        return said_sizes(dataset.parameters["source"], parameters | dataset.elsewhere)
    from amun_steps.store.arrays import hdf5

    with hdf5(path) as file:
        shape, labels, train = file["images"].shape[1:], file["labels"][:], file["train"][:]
    return Sizes(int(train.sum()), int((~train).sum()), shape, int(labels.max()) + 1)


def try_networks(plan: Plan) -> None:
    """Raise ConfigError, naming the key, for a network that cannot be built for its data set or cannot take its images.

    It costs the seconds that importing torch takes, but not where all originals are there: what was trained can be.
    """
    for name, experiment in plan.config["experiments"].items():
        dataset, originals = plan.named[name, "dataset"], plan.named[name, "originals"]
        if Path(originals.file("originals.safetensors")).is_file():
            continue
        sizes = known_sizes(dataset)
        if sizes is None:
            continue
        network = experiment["network"] | {"shape": sizes.shape, "classes": sizes.classes}
        wrong = _fault(canonical(network))
        if wrong:
            image = "x".join(map(str, sizes.shape))
            raise ConfigError(
                f"experiments.{name}.network: '{network['name']}' does not work for images of {image} and"
                f" {sizes.classes} classes ({experiment['dataset']}): {wrong}"
            )


@functools.cache
def _fault(network: str) -> str:
    """What is wrong with a network (JSON) when two images go through it, without storage or arithmetic; or nothing."""
    import torch

    from amun_steps.training.stack import skeleton

    wanted = json.loads(network)
    try:
        with torch.device("meta"):
            logits = skeleton(wanted).train()(torch.empty(2, *wanted["shape"]))
    except InputError as error:
        return str(error)
    except Exception as error:  # whatever a module raises
        return f"{type(error).__name__}: {error}".splitlines()[0]
    if tuple(logits.shape) == (2, wanted["classes"]):
        return ""
    return f"found logits {tuple(logits.shape)}, expected (2, {wanted['classes']})"


def _plan_experiment(plan: Plan, name: str) -> None:
    """Add an experiment's stages: data, models, references, adversarial sets, and then each family of forget sets."""
    config, experiment = plan.config, plan.config["experiments"][name]
    seed, network = config["seed"], experiment["network"]["name"]
    network_code = f"amun_steps.models.{network}"

    dataset = _dataset(plan, experiment["dataset"])
    originals = plan.add(
        kind="originals",
        name=_called(experiment["network"]),
        parameters={"training": _training(plan, name, "originals"), "count": experiment["originals"]["count"]},
        code=["amun_steps.steps.train", network_code],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    count = experiment["references"]["count"]
    inclusion = plan.add(
        kind="inclusion",
        name=f"inclusion{count}",
        parameters={"references": count, "seed": seed},
        code=["amun_steps.steps.subsets"],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    references = plan.add(
        kind="references",
        name=f"{_called(experiment['network'])}-references",
        parameters={"training": _training(plan, name, "references")},
        code=["amun_steps.steps.train", network_code],
        builds_on={"dataset": dataset, "inclusion": inclusion},
        inside=inclusion,
    )
    signals = plan.add(
        kind="signals",
        name="signals",
        parameters={"signal": {key: value for key, value in config["rmia"].items() if key != "gamma"}},
        code=["amun_steps.steps.signals", network_code],
        builds_on={"dataset": dataset, "references": references},
        inside=references,
    )
    plan.named |= {(name, stage.kind): stage for stage in (dataset, originals, signals)}
    for family in experiment["forget"]:
        _plan_family(plan, name, family)


def _dataset(plan: Plan, name: str) -> Stage:
    """The stage of a data set. Raises ConfigError for files of one's own that cannot be read."""
    source = dict(plan.config["datasets"][name])
    reader = source.pop("source")
    elsewhere = {key: source.pop(key) for key in ("folder",) if key in source}
    try:
        content = said_content(reader, source | elsewhere)
    except InputError as error:
        raise ConfigError(f"datasets.{name}: {error}") from None
    return plan.add(
        kind="dataset",
        name=name,
        parameters={"source": reader, "parameters": source} | ({"content": content} if content else {}),
        code=["amun_steps.steps.dataset", f"amun_steps.datasets.{reader}"],
        elsewhere=elsewhere,
    )


def _called(network: Mapping[str, Any]) -> str:
    """What people call a network: by its own name in torchvision or timm, where it is one of theirs."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", str(network.get("model", network["name"])))[:64]


def adversarial(plan: Plan, experiment: str, attack: str) -> Stage:
    """The stage of Algorithm 1 with an attack of the config, for an experiment's originals."""
    reads = {kind: plan.named[experiment, kind] for kind in ("dataset", "originals")}
    wanted = plan.config["attacks"][attack]
    network = plan.config["experiments"][experiment]["network"]["name"]
    return plan.add(
        kind="adversarial",
        name=attack,
        parameters={"attack": wanted, "seed": plan.config["seed"]},
        code=[
            "amun_steps.steps.adversarial",
            f"amun_steps.attacks.{wanted['algorithm']}",
            f"amun_steps.models.{network}",
        ],
        builds_on=reads,
        inside=reads["originals"],
    )


def _plan_family(plan: Plan, name: str, family: str) -> None:
    """Add what one family of forget sets needs: the sets, the retrained models, and each method tuned, run, scored."""
    dataset, originals, signals = (plan.named[name, kind] for kind in ("dataset", "originals", "signals"))
    config, experiment = plan.config, plan.config["experiments"][name]
    seed, network = config["seed"], experiment["network"]["name"]
    network_code = f"amun_steps.models.{network}"
    judge = {**signals.parameters, "gamma": config["rmia"]["gamma"]}

    forget = plan.add(
        kind="forget",
        name=family,
        parameters=config["forget"][family] | {"name": family, "seed": seed},
        code=["amun_steps.steps.subsets"],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    retrained = plan.add(
        kind="retrained",
        name=f"{_called(experiment['network'])}-retrained",
        parameters={
            "training": _training(plan, name, "retrained"),
            "count": experiment["retrained"]["count"],
            "forget_name": family,
        },
        code=["amun_steps.steps.train", network_code],
        builds_on={"dataset": dataset, "forget": forget},
        inside=forget,
    )

    plan.named |= {(name, stage.kind, family): stage for stage in (forget, retrained)}

    def score(method: str, access: str, models: Stage) -> None:
        names = {
            "experiment": name,
            "dataset": experiment["dataset"],
            "architecture": _called(experiment["network"]),
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
            code=["amun_steps.steps.score"],
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
        if "clipping" in (training := originals.parameters["training"]):
            unlearning["clipping"] = training["clipping"]
        run = {"forget_name": family, "unlearning": unlearning}
        grid = {key: config["tuning"][key] for key in ("learning_rate", "step")} | options.get("grid", {})
        reads = {"dataset": dataset, "originals": originals, "forget": forget}
        if "adversarial" in needs:
            reads["adversarial"] = adversarial(plan, name, options.get("attack", experiment["attack"]))
        code = [f"amun_steps.methods.{module}", network_code]
        tuned = plan.add(
            kind="tuned",
            name=f"{method}-{access}-{family}-tuned",
            parameters={**run, **judge, "grid": grid, "on": config["tuning"]["originals"]},
            code=["amun_steps.steps.tune", "amun_steps.steps.choose", *code],
            builds_on={**reads, "retrained": retrained, "signals": signals},
            inside=originals,
        )
        unlearned = plan.add(
            kind="unlearned",
            name=method,
            parameters={**run, "runs": runs},
            code=["amun_steps.steps.unlearn", *code],
            builds_on={**reads, "tuned": tuned},
            inside=tuned,
        )
        plan.named |= {(name, stage.kind, method, access, family): stage for stage in (tuned, unlearned)}
        score(method, access, unlearned)


def continuous(plan: Plan, experiment: str, method: str, access: str, requests: str, family: str, attack: str) -> Stage:
    """The stage of a sequence of requests by a method, as it was tuned for a family of forget sets.

    attack: the one that D_A is searched for anew with before each request; empty where it stays the original model's.
    """
    config = plan.config
    tuned = plan.named[experiment, "tuned", method, access, family]
    dataset = plan.named[experiment, "dataset"]
    network = config["experiments"][experiment]["network"]["name"]
    asked = plan.add(
        kind="requests",
        name=requests,
        parameters=config["requests"][requests] | {"name": requests, "seed": config["seed"]},
        code=["amun_steps.steps.subsets"],
        builds_on={"dataset": dataset},
        inside=dataset,
    )
    reads = {role: tuned.builds_on[role] for role in ("originals", "adversarial") if role in tuned.builds_on}
    unlearning = tuned.parameters["unlearning"]
    parameters = {
        "requests_name": requests,
        "unlearning": unlearning,
        "signal": tuned.parameters["signal"],
        "gamma": tuned.parameters["gamma"],
        "runs": config["unlearning"][config["experiments"][experiment]["unlearning"]]["runs"],
    }
    code = ["amun_steps.steps.continuous", f"amun_steps.methods.{unlearning['method']}", f"amun_steps.models.{network}"]
    if attack:
        parameters["attack"] = config["attacks"][attack]
        code.append(f"amun_steps.attacks.{config['attacks'][attack]['algorithm']}")
    signals = plan.named[experiment, "signals"]
    return plan.add(
        kind="continuous",
        name=f"{requests}{'-adaptive' if attack else ''}",
        parameters=parameters,
        code=code,
        builds_on={"dataset": dataset, **reads, "requests": asked, "tuned": tuned, "signals": signals},
        inside=tuned,
    )


def finetuned(plan: Plan, experiment: str, family: str, recipe: str) -> Stage:
    """The stage of fine-tuning an experiment's originals on D_A and what could stand in its place."""
    wanted = plan.config["experiments"][experiment]
    found = adversarial(plan, experiment, wanted["attack"])
    training = _recipe(plan.config["training"][recipe])
    return plan.add(
        kind="finetuned",
        name=f"finetuned-{family}",
        parameters={"forget_name": family, **training, "seed": plan.config["seed"]},
        code=["amun_steps.steps.finetune", f"amun_steps.models.{wanted['network']['name']}"],
        builds_on={**found.builds_on, "forget": plan.named[experiment, "forget", family], "adversarial": found},
        inside=found,
    )


def _training(plan: Plan, experiment: str, role: str) -> dict[str, Any]:
    """The `training` parameter of `amun_steps.steps.train` for the models of one role in an experiment."""
    config = plan.config
    network = config["experiments"][experiment]["network"]
    training = _recipe(config["training"][config["experiments"][experiment][role]["training"]])
    return {"network": network, **training, "seed": config["seed"]}


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of the config as its parts: `recipe`, `schedule` and, for robust models, `trades` or `clipping`."""
    recipe = dict(recipe)
    schedule = {key: recipe.pop(key) for key in ("learning_rate", "step", "factor")}
    robust = {key: recipe.pop(key) for key in ("trades", "clipping") if key in recipe}
    return {"recipe": recipe, "schedule": schedule, **robust}
